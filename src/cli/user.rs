//! `daypass user`: people who can log in.

use std::io::{IsTerminal, Read};

use clap::{Args, Subcommand};
use entity::{Scopes, user};

use super::{Common, Failure, print};
use crate::{
    account::{
        password::Password,
        users::{self, Change, Username},
    },
    api::json::User,
    app::App,
    audit::Actor,
    error::Error,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a user
    #[command(after_help = "Example: echo \"$PASSWORD\" | daypass user add alice --scope orders:read --password-stdin")]
    Add {
        /// ASCII letters, digits and . _ @ + -
        name: String,
        /// May administer: adds the scope daypass:admin
        #[arg(long)]
        admin: bool,
        /// A scope that tokens of this user may hold; may be repeated
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// List users, newest first
    #[command(after_help = "Example: daypass user list --json")]
    List,
    /// Set a user's password and end their tokens
    #[command(after_help = "Example: echo \"$PASSWORD\" | daypass user passwd alice --password-stdin")]
    Passwd {
        /// The user name
        name: String,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Bar a user from logging in and end their tokens
    #[command(after_help = "Example: daypass user disable alice")]
    Disable {
        /// The user name
        name: String,
    },
    /// Let a user log in again
    #[command(after_help = "Example: daypass user enable alice")]
    Enable {
        /// The user name
        name: String,
    },
    /// Delete a user and end their tokens
    #[command(after_help = "Example: daypass user delete alice")]
    Delete {
        /// The user name
        name: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct PasswordSource {
    /// Read the password from standard input instead of asking at the terminal
    #[arg(long)]
    password_stdin: bool,
}

impl Command {
    pub(super) async fn run(self, common: &Common) -> Result<(), Failure> {
        let app = common.open().await?;
        let (now, by) = (app.clock.now(), Actor::cli());
        match self {
            Self::Add { name, admin, mut scopes, password } => {
                if admin {
                    scopes.push(Scopes::ADMIN.to_owned());
                }
                let name = Username::parse(&name)?;
                let scopes = Scopes::collect(scopes).map_err(|error| Failure::Usage(error.to_string()))?;
                let user = users::create(&app, &name, password.read()?, scopes, &by, now).await?;
                show(common, user);
            }
            Self::List => list(common, &app).await?,
            Self::Passwd { name, password } => {
                let id = find(&app, &name).await?.id;
                let change = Change { password: Some(password.read()?), ..Change::default() };
                show(common, users::change(&app, id, change, &by, now).await?);
            }
            Self::Disable { name } => {
                let change = Change { disabled: Some(true), ..Change::default() };
                show(common, users::change(&app, find(&app, &name).await?.id, change, &by, now).await?);
            }
            Self::Enable { name } => {
                let change = Change { disabled: Some(false), ..Change::default() };
                show(common, users::change(&app, find(&app, &name).await?.id, change, &by, now).await?);
            }
            Self::Delete { name } => {
                users::delete(&app, find(&app, &name).await?.id, &by, now).await?;
                print::note(format_args!("deleted {name}"));
            }
        }
        Ok(())
    }
}

/// The user of this name.
pub(super) async fn find(app: &App, name: &str) -> Result<user::Model, Failure> {
    let user = users::find_by_name(app.db.reader(), name).await?;
    Ok(user.ok_or(Error::NotFound("user"))?)
}

async fn list(common: &Common, app: &App) -> Result<(), Failure> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = users::page(app.db.reader(), after, 200).await?;
        after = page.last().map(|user| user.id);
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    if common.json {
        print::json(&all.into_iter().map(User::from).collect::<Vec<_>>());
    } else {
        print_table(all);
    }
    Ok(())
}

fn show(common: &Common, user: user::Model) {
    if common.json {
        print::json(&User::from(user));
    } else {
        print_table(vec![user]);
    }
}

fn print_table(users: Vec<user::Model>) {
    let rows: Vec<_> = users
        .into_iter()
        .map(|user| {
            let state = if user.disabled_at.is_some() { "disabled" } else { "enabled" };
            let last = user.last_login_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
            [
                user.id.to_string(),
                user.username,
                state.to_owned(),
                user.created_at.to_string(),
                last,
                user.scopes.to_string(),
            ]
        })
        .collect();
    print::table(["ID", "NAME", "STATE", "CREATED", "LAST LOGIN", "SCOPES"], &rows);
}

impl PasswordSource {
    fn read(&self) -> Result<Password, Failure> {
        if self.password_stdin {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            let line = text.strip_suffix('\n').unwrap_or(&text);
            return Ok(Password::new(line.strip_suffix('\r').unwrap_or(line).to_owned()));
        }
        if !std::io::stdin().is_terminal() {
            return Err(Failure::Usage(
                "there is no terminal to ask for the password; use --password-stdin".to_owned(),
            ));
        }
        let (first, again) = (rpassword::prompt_password("Password: ")?, rpassword::prompt_password("Again: ")?);
        if first == again {
            Ok(Password::new(first))
        } else {
            Err(Failure::Other("the two passwords differ".to_owned()))
        }
    }
}
