//! The `audit_event` table: who did what, and from where. Rows are added, never altered, and go when they are old.

use sea_orm::entity::prelude::*;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(32))", rename_all = "snake_case")]
pub enum Event {
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
    /// Somebody started a job of maintenance.
    PurgeRequested,
    /// A purge deleted rows.
    Purged,
}

/// What somebody is who does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
pub enum ActorKind {
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

/// One event.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_event")]
pub struct Model {
    /// A `UUIDv7`, which carries when it was written: rows lie in that order.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// What happened.
    pub event: Event,
    /// What whoever did it is.
    pub actor_kind: ActorKind,
    /// Their id: a user's, or a client's.
    pub actor_id: Option<String>,
    /// The token they presented.
    pub actor_token_id: Option<Uuid>,
    /// The user it was done to, or whose token it was done to.
    pub user_id: Option<Uuid>,
    /// The client it was done to, or to which the token was issued.
    pub client_id: Option<String>,
    /// The token it was done to.
    pub token_id: Option<Uuid>,
    /// The address it came from.
    pub address: Option<String>,
    /// The request that it was part of.
    pub request_id: Option<String>,
    /// Why, or what in particular: words of ours, never what somebody typed.
    pub reason: Option<String>,
    /// How often, or how many; mostly 1.
    pub count: i64,
}

impl ActiveModelBehavior for ActiveModel {}
