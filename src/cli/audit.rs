//! `daypass audit`: who did what.

use clap::Args;
use entity::{
    Timestamp,
    audit_event::{Event, Model},
};
use sea_orm::{ActiveEnum, Iterable};
use uuid::Uuid;

use super::{Common, Failure, print};
use crate::{
    account::users,
    api::v1::audit::AuditEvent,
    app::App,
    audit::list::{self, Filter, LOOKED_AT},
    id,
};

#[derive(Debug, Args)]
pub(super) struct Audit {
    #[arg(long, value_parser = event, help = "Only events of this type, such as login_failed")]
    event: Option<Event>,
    /// Only what this user did, or this client, by id
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Only what was done to this user, or this client, by id, or tokens of theirs
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// Only what was done to this token, or with it
    #[arg(long, value_name = "ID")]
    token_id: Option<Uuid>,
    /// Only events at this instant or after, such as 2026-11-24T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Only events before this instant
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// How many at most
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

fn event(text: &str) -> Result<Event, String> {
    let known = || Event::iter().map(|event| event.to_value()).collect::<Vec<_>>().join(", ");
    Event::try_from_value(&text.to_owned()).map_err(|_| format!("must be one of {}", known()))
}

fn time(text: &str) -> Result<Timestamp, &'static str> {
    text.parse().map_err(|_| "must be a time as in RFC 3339, such as 2026-11-24T00:00:00Z")
}

impl Audit {
    pub(super) async fn run(self, common: &Common) -> Result<(), Failure> {
        let app = common.open().await?;
        let limit = self.limit;
        let filter = Filter {
            event: self.event,
            actor: named(&app, self.actor).await?,
            subject: named(&app, self.subject).await?,
            token: self.token_id,
            since: self.since,
            until: self.until,
        };
        let (mut events, mut after) = (Vec::new(), None);
        while events.len() < limit {
            let left = u64::try_from(limit - events.len()).unwrap_or(u64::MAX).min(200);
            let page = list::page(app.db.reader(), &filter, after, left, LOOKED_AT).await?;
            events.extend(page.events);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        show(common, events);
        Ok(())
    }
}

async fn named(app: &App, name: Option<String>) -> Result<Option<String>, Failure> {
    let Some(name) = name else { return Ok(None) };
    let user = users::find_by_name(app.db.reader(), &name).await?;
    Ok(Some(user.map_or(name, |user| user.id.to_string())))
}

fn show(common: &Common, events: Vec<Model>) {
    if common.json {
        print::json(&events.into_iter().map(AuditEvent::from).collect::<Vec<_>>());
        return;
    }
    let rows: Vec<_> = events
        .into_iter()
        .map(|event| {
            let user = event.user_id.map(|id| id.to_string());
            [
                id::made_at(event.id).to_string(),
                event.event.to_value(),
                event.actor_id.unwrap_or_else(|| event.actor_kind.to_value()),
                user.or(event.client_id).unwrap_or_default(),
                event.token_id.map(|id| id.to_string()).unwrap_or_default(),
                event.address.unwrap_or_default(),
                event.count.to_string(),
                event.reason.unwrap_or_default(),
            ]
        })
        .collect();
    print::table(["TIME", "EVENT", "BY", "USER OR CLIENT", "TOKEN", "FROM", "COUNT", "WHY"], &rows);
}
