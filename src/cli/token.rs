//! `daypass token`: issue, look at and revoke tokens.

use std::{io::Read, sync::Arc};

use clap::{Args, Subcommand, ValueEnum};
use entity::Scopes;
use uuid::Uuid;

use super::{Common, Failure, print, user};
use crate::{
    api::json::{IssuedToken, TokenInfo},
    app::App,
    audit::Actor,
    config::units::parse_duration,
    error::Error,
    token::{
        self, Held, Owner, State, check,
        issue::{self, Wanted},
        list, precision, revoke, usage,
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Issue a token of kind api and print it, alone, on standard output
    #[command(after_help = "Example: daypass token issue --user alice --name laptop --ttl 90d --scope orders:read")]
    Issue(Issue),
    /// List tokens, newest first
    #[command(after_help = "Example: daypass token list --user alice --state active")]
    List {
        /// Only tokens of this user
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// Only tokens in this state
        #[arg(long, value_enum)]
        state: Option<StateName>,
    },
    /// Show a token
    #[command(after_help = "Example: daypass token show 019ab509-3a80-7c3e-9d12-4f5a6b7c8d9e")]
    Show {
        /// The token id
        id: Uuid,
    },
    /// Revoke a token
    #[command(after_help = "Example: daypass token revoke 019ab509-3a80-7c3e-9d12-4f5a6b7c8d9e")]
    Revoke {
        /// The token id
        id: Uuid,
    },
    /// Tell whether a token, read from standard input, works
    #[command(after_help = "Example: daypass token check < token.txt")]
    Check,
}

#[derive(Debug, Args)]
pub(super) struct Issue {
    /// Whose it shall be
    #[arg(long, value_name = "NAME")]
    user: String,
    /// What to call it
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// How long it shall live, such as 12h or 90d
    #[arg(long, value_parser = whole_seconds)]
    ttl: Option<i64>,
    /// How long it may go unused, such as 30m
    #[arg(long, value_parser = whole_seconds)]
    idle_timeout: Option<i64>,
    /// What it may do; may be repeated [default: all that the user may, but for daypass:*]
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
}

impl Command {
    pub(super) async fn run(self, common: &Common) -> Result<(), Failure> {
        let app = common.open().await?;
        match self {
            Self::Issue(issue) => issue.run(common, &app).await,
            Self::List { user, state } => list(common, &app, user, state).await,
            Self::Show { id } => {
                let held = token::find(app.db.reader(), id).await?.ok_or(Error::NotFound("token"))?;
                show(common, &app, &[&held]);
                Ok(())
            }
            Self::Revoke { id } => {
                token::find(app.db.reader(), id).await?.ok_or(Error::NotFound("token"))?;
                revoke::one(&app, id, &Actor::cli(), revoke::Why::Requested, app.clock.now()).await?;
                print::note(format_args!("revoked {id}"));
                Ok(())
            }
            Self::Check => check(common, &app).await,
        }
    }
}

impl Issue {
    async fn run(self, common: &Common, app: &Arc<App>) -> Result<(), Failure> {
        let now = app.clock.now();
        let id = user::find(app, &self.user).await?.id;
        let scopes = if self.scopes.is_empty() { None } else { Some(Scopes::collect(self.scopes)) };
        let wanted = Wanted {
            name: self.name,
            ttl: self.ttl,
            idle_timeout: self.idle_timeout,
            scopes: scopes.transpose().map_err(|error| Failure::Usage(error.to_string()))?,
            ..Wanted::default()
        };
        let issued = issue::api(app, id, wanted, None, &Actor::cli(), now).await?;
        // Before it, so that whoever does not get to see it knows what there is.
        print::note(format_args!("{}: keep the secret, it is not shown again", issued.held.id()));
        if common.json {
            print::json(&IssuedToken::show(app, &issued, now));
        } else {
            print::line(issued.secret.expose());
        }
        Ok(())
    }
}

/// Reads a duration as the seconds that it is: a part of one would be lost without a word.
pub(super) fn whole_seconds(text: &str) -> Result<i64, &'static str> {
    let duration = parse_duration(text).ok_or("must be a duration of at most 100 years, such as 12h or 90d")?;
    if duration.subsec_nanos() != 0 {
        return Err("must be whole seconds");
    }
    Ok(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX))
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum StateName {
    Active,
    Expired,
    Revoked,
}

impl From<StateName> for State {
    fn from(name: StateName) -> Self {
        match name {
            StateName::Active => Self::Active,
            StateName::Expired => Self::Expired,
            StateName::Revoked => Self::Revoked,
        }
    }
}

async fn list(common: &Common, app: &App, name: Option<String>, state: Option<StateName>) -> Result<(), Failure> {
    let owner = match name {
        Some(name) => Some(Owner::User(user::find(app, &name).await?.id)),
        None => None,
    };
    let filter = list::Filter { owner, state: state.map(Into::into), ..list::Filter::default() };
    let mut all: Vec<Held> = Vec::new();
    loop {
        let after = all.last().map(Held::id);
        let page = list::page(app, &filter, after, 200, app.clock.now()).await?;
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    show(common, app, &all.iter().collect::<Vec<_>>());
    Ok(())
}

/// Tells a token's holder what it is worth; the exit code says whether it works.
async fn check(common: &Common, app: &App) -> Result<(), Failure> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    match check::check(app, text.trim(), app.clock.now()).await {
        Ok(checked) => {
            show(common, app, &[&checked.held]);
            usage::flush(app).await?;
            Ok(())
        }
        Err(check::Failure::Refused(refusal)) => Err(Failure::Other(refusal.to_string())),
        Err(check::Failure::Unanswered(error)) => Err(error.into()),
    }
}

fn show(common: &Common, app: &App, tokens: &[&Held]) {
    let now = app.clock.now();
    if common.json {
        print::json(&tokens.iter().map(|held| TokenInfo::of(app, held, now)).collect::<Vec<_>>());
        return;
    }
    let rows: Vec<_> = tokens
        .iter()
        .map(|held| {
            [
                held.id().to_string(),
                held.kind().name().to_owned(),
                held.life().state(now, precision(app)).name().to_owned(),
                held.client_id().unwrap_or(held.username()).to_owned(),
                held.name().unwrap_or_default().to_owned(),
                format!("\u{2026}{}", held.hint()),
                held.expires_at().to_string(),
            ]
        })
        .collect();
    print::table(["ID", "KIND", "STATE", "OWNER", "NAME", "HINT", "EXPIRES"], &rows);
}
