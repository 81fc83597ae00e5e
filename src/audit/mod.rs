//! The audit trail: who did what to whose token or account, from where, and why.
//!
//! - this file: who does something ([`Actor`]), what is done ([`Done`]), and how that is written;
//! - [`mod@failures`] are logins that failed, which are written behind and of which a flood is summed up;
//! - [`mod@list`] reads.
//!
//! An event is written in the transaction that does what it tells ([`crate::write::Write::record`]): nothing is done without
//! its record, and nothing is on record that was not done. After the commit it is a log line as well, with the target `audit`.
//! Rows are added and never altered; they go when they are older than `audit.keep`. Checks are no events.
//!
//! What is recorded are ids, addresses and words of ours. What somebody typed is not, for it may be a password in the place
//! of a name: a name that is nobody's leaves no trace.

pub mod failures;
pub mod list;

use std::net::IpAddr;

use entity::{
    Timestamp,
    audit_event::{self, ActorKind, Event, Model},
};
use sea_orm::{
    ActiveEnum, ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel,
};
use uuid::Uuid;

use crate::{id, token::Owner};

/// Where a request comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The client's address.
    pub address: Option<IpAddr>,
    /// The request's id, as the log has it.
    pub request_id: Option<String>,
}

/// Who does something, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    kind: ActorKind,
    id: Option<String>,
    token_id: Option<Uuid>,
    origin: Origin,
}

impl Actor {
    /// A user.
    pub fn user(id: Uuid, origin: &Origin) -> Self {
        Self { kind: ActorKind::User, id: Some(id.to_string()), token_id: None, origin: origin.clone() }
    }

    /// A client.
    pub fn client(client_id: &str, origin: &Origin) -> Self {
        Self { kind: ActorKind::Client, id: Some(client_id.to_owned()), token_id: None, origin: origin.clone() }
    }

    /// Whose a token is.
    pub fn owner(owner: &Owner, origin: &Origin) -> Self {
        match owner {
            Owner::User(id) => Self::user(*id, origin),
            Owner::Client(client_id) => Self::client(client_id, origin),
        }
    }

    /// Whoever it is.
    pub fn anonymous(origin: &Origin) -> Self {
        Self { kind: ActorKind::Anonymous, id: None, token_id: None, origin: origin.clone() }
    }

    /// Whoever uses the command line.
    pub fn cli() -> Self {
        Self { kind: ActorKind::Cli, id: None, token_id: None, origin: Origin::default() }
    }

    /// The service itself.
    pub fn system() -> Self {
        Self { kind: ActorKind::System, ..Self::cli() }
    }

    /// The same, with the token that was presented.
    #[must_use]
    pub fn with(self, token: Uuid) -> Self {
        Self { token_id: Some(token), ..self }
    }
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    event: Event,
    user_id: Option<Uuid>,
    client_id: Option<String>,
    token_id: Option<Uuid>,
    reason: Option<String>,
    count: i64,
}

impl Done {
    /// This, once, to nobody in particular.
    pub fn new(event: Event) -> Self {
        Self { event, user_id: None, client_id: None, token_id: None, reason: None, count: 1 }
    }

    /// To this user, or a token of theirs.
    #[must_use]
    pub fn user(self, id: Option<Uuid>) -> Self {
        Self { user_id: id, ..self }
    }

    /// To this client, or a token that was issued to it.
    #[must_use]
    pub fn client(self, client_id: Option<&str>) -> Self {
        Self { client_id: client_id.map(str::to_owned), ..self }
    }

    /// To this token.
    #[must_use]
    pub fn token(self, id: Uuid) -> Self {
        Self { token_id: Some(id), ..self }
    }

    /// Why, or what in particular: words of ours.
    #[must_use]
    pub fn reason(self, reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..self }
    }

    /// So often.
    #[must_use]
    pub fn times(self, count: i64) -> Self {
        Self { count, ..self }
    }

    /// The row that tells it.
    pub fn by(self, actor: &Actor, now: Timestamp) -> Model {
        Model {
            id: id::new(now),
            event: self.event,
            actor_kind: actor.kind,
            actor_id: actor.id.clone(),
            actor_token_id: actor.token_id,
            user_id: self.user_id,
            client_id: self.client_id,
            token_id: self.token_id,
            address: actor.origin.address.map(|address| address.to_string()),
            request_id: actor.origin.request_id.clone(),
            reason: self.reason,
            count: self.count,
        }
    }
}

/// How many rows one statement writes: well below the number of parameters that engines allow.
const AT_ONCE: usize = 500;

/// Writes events; whoever calls tells the log of them once they are committed ([`log`]).
pub async fn insert(db: &impl ConnectionTrait, events: &[Model]) -> Result<(), DbErr> {
    for events in events.chunks(AT_ONCE) {
        let rows = events.iter().map(|event| event.clone().into_active_model().reset_all());
        audit_event::Entity::insert_many(rows).exec_without_returning(db).await?;
    }
    Ok(())
}

/// A log line for each of these, which are committed. What has no value is left out.
pub fn log(events: &[Model]) {
    for event in events {
        tracing::info!(
            target: "audit",
            audit_id = %event.id,
            event = event.event.to_value(),
            actor = event.actor_kind.to_value(),
            actor_id = event.actor_id.as_deref(),
            actor_token_id = event.actor_token_id.map(tracing::field::display),
            user_id = event.user_id.map(tracing::field::display),
            client_id = event.client_id.as_deref(),
            token_id = event.token_id.map(tracing::field::display),
            address = event.address.as_deref(),
            request_id = event.request_id.as_deref(),
            reason = event.reason.as_deref(),
            count = event.count,
            "audit"
        );
    }
}

/// Events that were written before then.
pub fn before(then: Timestamp) -> Condition {
    audit_event::Column::Id.lt(id::first_of(then)).into()
}
