//! `daypass client`: OAuth clients.

use clap::{Args, Subcommand};
use entity::{Grant, Grants, Scopes};

use super::{Common, Failure, print, token::whole_seconds};
use crate::{
    api::v1::clients::{Client, IssuedClient},
    app::App,
    audit::Actor,
    client::{self, Change, Created, Model, New},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a client; prints its id and, this once, its secret
    #[command(after_help = "Example: daypass client add billing --scope orders:read --grant client_credentials")]
    Add(Add),
    /// List clients, newest first
    #[command(after_help = "Example: daypass client list --json")]
    List,
    /// Give a client a new secret, and print that this once
    #[command(after_help = "Example: daypass client rotate 0353vs2wJDQfWjkzm86vZA --overlap 1d")]
    Rotate {
        /// The client id
        client_id: String,
        /// How long the old secret shall work too, at most 7d
        #[arg(long, default_value = "0s", value_parser = whole_seconds)]
        overlap: i64,
    },
    /// Refuse a client and end every token that was issued to it
    #[command(after_help = "Example: daypass client disable 0353vs2wJDQfWjkzm86vZA")]
    Disable {
        /// The client id
        client_id: String,
    },
    /// Let a client in again
    #[command(after_help = "Example: daypass client enable 0353vs2wJDQfWjkzm86vZA")]
    Enable {
        /// The client id
        client_id: String,
    },
    /// Delete a client and end every token that was issued to it
    #[command(after_help = "Example: daypass client delete 0353vs2wJDQfWjkzm86vZA")]
    Delete {
        /// The client id
        client_id: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// What to call it
    name: String,
    /// A scope that tokens issued to it may hold; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    #[arg(long = "grant", value_name = "GRANT")]
    #[arg(help = "What it may trade for tokens; may be repeated [default: client_credentials and refresh_token]")]
    grants: Vec<String>,
}

impl Command {
    pub(super) async fn run(self, common: &Common) -> Result<(), Failure> {
        let app = common.open().await?;
        let (now, by) = (app.clock.now(), Actor::cli());
        match self {
            Self::Add(add) => show_secret(common, &app, &client::create(&app, add.wanted()?, &by, now).await?),
            Self::List => list(common, &app).await?,
            Self::Rotate { client_id, overlap } => {
                show_secret(common, &app, &client::rotate_secret(&app, &client_id, overlap, &by).await?);
            }
            Self::Disable { client_id } => {
                let change = Change { disabled: Some(true), ..Change::default() };
                show(common, &app, client::update(&app, &client_id, change, &by, now).await?);
            }
            Self::Enable { client_id } => {
                let change = Change { disabled: Some(false), ..Change::default() };
                show(common, &app, client::update(&app, &client_id, change, &by, now).await?);
            }
            Self::Delete { client_id } => {
                client::delete(&app, &client_id, &by, now).await?;
                print::note(format_args!("deleted {client_id}"));
            }
        }
        Ok(())
    }
}

impl Add {
    fn wanted(self) -> Result<New, Failure> {
        let scopes = Scopes::collect(self.scopes).map_err(|error| Failure::Usage(error.to_string()))?;
        let grants = if self.grants.is_empty() { client::default_grants() } else { read_grants(&self.grants)? };
        Ok(New { name: self.name, scopes, grants })
    }
}

fn read_grants(names: &[String]) -> Result<Grants, Failure> {
    names
        .iter()
        .map(|name| {
            let known = || Grant::ALL.map(Grant::name).join(", ");
            Grant::parse(name).ok_or_else(|| Failure::Usage(format!("--grant must be one of {}", known())))
        })
        .collect()
}

async fn list(common: &Common, app: &App) -> Result<(), Failure> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = client::list(app.db.reader(), app.db.engine(), after, 200).await?;
        after = page.last().map(client::key);
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    if common.json {
        print::json(&all.iter().map(|client| Client::of(client, app.clock.now())).collect::<Vec<_>>());
    } else {
        print_table(all);
    }
    Ok(())
}

fn show(common: &Common, app: &App, client: Model) {
    if common.json {
        print::json(&Client::of(&client, app.clock.now()));
    } else {
        print_table(vec![client]);
    }
}

/// The names are those of the form that a client sends (RFC 6749 §2.3.1).
fn show_secret(common: &Common, app: &App, created: &Created) {
    // Before it, so that whoever does not get to see it knows what there is.
    print::note(format_args!("{}: keep the secret, it is not shown again", created.client.client_id));
    if common.json {
        print::json(&IssuedClient::show(created, app.clock.now()));
    } else {
        let (id, secret) = (&created.client.client_id, created.secret.expose());
        print::line(format_args!("client_id={id}\nclient_secret={secret}"));
    }
}

fn print_table(clients: Vec<Model>) {
    let rows: Vec<_> = clients
        .into_iter()
        .map(|client| {
            let state = if client.disabled_at.is_some() { "disabled" } else { "enabled" };
            [
                client.client_id,
                client.name,
                state.to_owned(),
                client.created_at.to_string(),
                client.grants.to_string(),
                client.scopes.to_string(),
            ]
        })
        .collect();
    print::table(["ID", "NAME", "STATE", "CREATED", "GRANTS", "SCOPES"], &rows);
}
