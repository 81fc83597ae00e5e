//! Who did what, for administrators.

use std::sync::Arc;

use entity::{
    Timestamp,
    audit_event::{self, Event, Model},
};
use poem::web::Data;
use poem_openapi::{Enum, Object, OpenApi, param::Query, payload::Json, types::Example};
use uuid::Uuid;

use super::tokens::named_user;
use crate::{
    api::{
        auth::Admin,
        json::{Time, cursor_of, page_size, parse_cursor},
        problem::ApiError,
        tags::Tag,
    },
    app::App,
    audit::list::{self, Filter, LOOKED_AT},
    error::Error,
    id,
};

/// The audit trail.
#[derive(Debug)]
pub struct AuditApi;

/// What happened.
#[derive(Clone, Copy, Debug, Enum)]
#[oai(rename_all = "snake_case", remote = "audit_event::Event")]
pub enum AuditEventType {
    /// A password was right, and a session was made.
    Login,
    /// A password was wrong, or its user barred.
    LoginFailed,
    /// Attempts were turned away unread, for there had been too many.
    LockedOut,
    /// A token was made.
    TokenIssued,
    /// A token was given more time.
    TokenRenewed,
    /// A token was given a new secret.
    TokenRotated,
    /// A refresh token was traded for a session.
    TokenRefreshed,
    /// A refresh token was used a second time, and its family ended.
    RefreshReplayed,
    /// A token was ended.
    TokenRevoked,
    /// A user was made.
    UserCreated,
    /// A user was changed by an administrator.
    UserUpdated,
    /// A user was deleted.
    UserDeleted,
    /// A user set a new password of their own.
    PasswordChanged,
    /// A client was made.
    ClientCreated,
    /// A client was changed.
    ClientUpdated,
    /// A client was deleted.
    ClientDeleted,
    /// A client was given a new secret.
    ClientSecretRotated,
    /// Somebody started a purge.
    PurgeRequested,
    /// A purge deleted rows.
    Purged,
}

/// What somebody is who does something.
#[derive(Clone, Copy, Debug, Enum)]
#[oai(rename_all = "snake_case", remote = "audit_event::ActorKind")]
pub enum AuditActorKind {
    /// A user, known by a token or a password.
    User,
    /// An OAuth client.
    Client,
    /// Whoever it was: nobody had to say.
    Anonymous,
    /// The command line.
    Cli,
    /// The service itself.
    System,
}

/// Who did something.
#[derive(Clone, Debug, Object)]
pub struct AuditActor {
    /// What they are.
    kind: AuditActorKind,
    /// A user's id, or a client's; null for the others.
    id: Option<String>,
    /// The token they presented.
    token_id: Option<Uuid>,
}

/// Something that was done.
#[derive(Clone, Debug, Object)]
#[oai(example)]
pub struct AuditEvent {
    /// The event's id.
    id: Uuid,
    /// When it was written.
    created_at: Time,
    /// What happened.
    event: AuditEventType,
    /// Who did it.
    actor: AuditActor,
    /// The user it was done to, or whose token it was done to.
    user_id: Option<Uuid>,
    /// The client it was done to, or to which the token was issued.
    client_id: Option<String>,
    /// The token it was done to.
    token_id: Option<Uuid>,
    /// The address it came from.
    address: Option<String>,
    /// The request it was part of, as in `X-Request-Id`.
    request_id: Option<String>,
    /// Why, or what in particular: why a token was revoked, what was changed of a user.
    reason: Option<String>,
    /// How often, or how many; mostly 1. Failed logins that are alike are summed up.
    count: i64,
}

impl From<Model> for AuditEvent {
    fn from(row: Model) -> Self {
        Self {
            id: row.id,
            created_at: Time(id::made_at(row.id)),
            event: row.event.into(),
            actor: AuditActor { kind: row.actor_kind.into(), id: row.actor_id, token_id: row.actor_token_id },
            user_id: row.user_id,
            client_id: row.client_id,
            token_id: row.token_id,
            address: row.address,
            request_id: row.request_id,
            reason: row.reason,
            count: row.count,
        }
    }
}

impl Example for AuditEvent {
    fn example() -> Self {
        let user = Uuid::from_u128(0x019a_b501_77c0_7a11_8f3b_2c4d_5e6f_7081);
        let token = Uuid::from_u128(0x019a_b509_3a80_7c3e_9d12_4f5a_6b7c_8d9e);
        Self {
            id: Uuid::from_u128(0x01a2_0b2f_e900_7c3e_9d12_4f5a_6b7c_8d9e),
            created_at: Time(Timestamp::from_millis(1_795_510_800_000)),
            event: AuditEventType::TokenRevoked,
            actor: AuditActor { kind: AuditActorKind::User, id: Some(user.to_string()), token_id: Some(token) },
            user_id: Some(user),
            client_id: None,
            token_id: Some(token),
            address: Some("192.0.2.7".to_owned()),
            request_id: Some("0c5d7e1f2a3b4c5d0000000000000042".to_owned()),
            reason: Some("logout".to_owned()),
            count: 1,
        }
    }
}

/// One page of events, newest first.
#[derive(Debug, Object)]
#[oai(example)]
pub struct AuditEventPage {
    /// The events.
    items: Vec<AuditEvent>,
    /// Asks for the next page; null on the last.
    next_cursor: Option<String>,
}

impl Example for AuditEventPage {
    fn example() -> Self {
        Self { items: vec![AuditEvent::example()], next_cursor: None }
    }
}

#[OpenApi(prefix_path = "/v1/audit", tag = "Tag::Audit")]
impl AuditApi {
    /// List audit events
    ///
    /// Newest first. A page looks at so many events at most, and where few of them are wanted it may be short or empty: there is
    /// more as long as there is a `next_cursor`.
    #[oai(path = "/", method = "get", operation_id = "listAuditEvents")]
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the operation")]
    async fn list(
        &self,
        _admin: Admin,
        app: Data<&Arc<App>>,
        /// Only events of this type.
        event: Query<Option<AuditEventType>>,
        /// Only what this user did, by name or id, or this client, by id.
        actor: Query<Option<String>>,
        /// Only what was done to this user, by name or id, or to this client, by id, or to tokens of theirs.
        subject: Query<Option<String>>,
        /// Only what was done to the token of this id, or with it.
        token_id: Query<Option<Uuid>>,
        /// Only events at this instant or after.
        since: Query<Option<Time>>,
        /// Only events before this instant.
        until: Query<Option<Time>>,
        /// How many at most.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<i64>>,
        /// Where to go on: a `next_cursor`.
        cursor: Query<Option<String>>,
    ) -> Result<Json<AuditEventPage>, ApiError> {
        let after = parse_cursor(cursor.0.as_deref())?;
        let filter = Filter {
            event: event.0.map(Event::from),
            actor: named(&app, actor.0).await?,
            subject: named(&app, subject.0).await?,
            token: token_id.0,
            since: since.0.map(|time| time.0),
            until: until.0.map(|time| time.0),
        };
        let page = list::page(app.db.reader(), &filter, after, page_size(limit.0), LOOKED_AT).await?;
        let items = page.events.into_iter().map(Into::into).collect();
        Ok(Json(AuditEventPage { items, next_cursor: page.next.map(cursor_of) }))
    }
}

/// The id of whom somebody names: what is no user's name may be an id itself, also of somebody who is no more. What can be
/// neither is the empty one, which nobody has: databases do not take every text.
async fn named(app: &App, name: Option<String>) -> Result<Option<String>, Error> {
    let Some(name) = name else { return Ok(None) };
    if let Some(user) = named_user(app, &name).await? {
        return Ok(Some(user.id.to_string()));
    }
    let may_be_an_id = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    Ok(Some(if may_be_an_id { name } else { String::new() }))
}
