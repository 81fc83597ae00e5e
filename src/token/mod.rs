//! Tokens: what they look like, and a file for each thing that is done with them.
//!
//! Every function takes `now`, and a database handle that may be a pool or a transaction. None knows HTTP.

pub mod check;
pub mod issue;
pub mod list;
pub mod renew;
pub mod revoke;
pub mod rotate;
pub mod secret;
pub mod usage;

use std::time::Duration;

use entity::{Scopes, Timestamp, token, user};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, JoinType, QueryFilter, QuerySelect,
    RelationDef, Select,
};
use uuid::Uuid;

pub use entity::{State, token::Kind};

use crate::{app::App, error::Error};

/// A token as it is held: its row and what its user's row says. Facts; what follows from them is judged when asked.
#[derive(Clone, Debug, FromQueryResult)]
pub struct Held {
    /// Its row.
    #[sea_orm(nested)]
    pub token: token::Model,
    /// Its user's name.
    pub username: Option<String>,
    /// What its user may be granted at all.
    pub user_scopes: Option<Scopes>,
}

/// Which rule sets a token's `expires_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitedBy {
    /// The ttl it was issued or renewed with.
    Ttl,
    /// It ends earlier unless it is used.
    IdleTimeout,
    /// No renewal will move it.
    MaxLifetime,
}

impl Held {
    /// What it may do: what it was issued with, as far as its user still may.
    pub fn scopes(&self) -> Scopes {
        match &self.user_scopes {
            Some(grantable) => self.token.scopes.intersection(grantable),
            None => self.token.scopes.clone(),
        }
    }

    /// Whether it may administer.
    pub fn is_admin(&self) -> bool {
        let holds = |scopes: &Scopes| scopes.contains(Scopes::ADMIN);
        holds(&self.token.scopes) && self.user_scopes.as_ref().is_none_or(holds)
    }

    /// Which rule sets its `expires_at`.
    pub fn limited_by(&self) -> LimitedBy {
        let token = &self.token;
        if token.expires_at < token.ttl_expires_at {
            LimitedBy::IdleTimeout
        } else if token.ttl_expires_at < token.max_expires_at {
            LimitedBy::Ttl
        } else {
            LimitedBy::MaxLifetime
        }
    }
}

/// Whose tokens a question or a change is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A user's.
    User(Uuid),
    /// A client's own, which have no user.
    Client(String),
}

impl Owner {
    /// Whose this token is.
    pub fn of(token: &token::Model) -> Self {
        match token.user_id {
            Some(user) => Self::User(user),
            None => Self::Client(token.client_id.clone().unwrap_or_default()),
        }
    }

    /// The condition that a token is theirs.
    fn tokens(&self) -> Condition {
        match self {
            Self::User(user) => Condition::all().add(token::Column::UserId.eq(*user)),
            Self::Client(client) => {
                Condition::all().add(token::Column::UserId.is_null()).add(token::Column::ClientId.eq(client))
            }
        }
    }
}

/// Reads one token by its id.
pub async fn find(db: &impl ConnectionTrait, id: Uuid) -> Result<Option<Held>, DbErr> {
    select().filter(token::Column::Id.eq(id)).into_model::<Held>().one(db).await
}

/// How far the recording of use may lag behind, from the settings.
pub fn precision(app: &App) -> Duration {
    app.config.check.last_used_precision
}

/// The row as it is inside a transaction that is about to change it, locked where the engine locks rows.
async fn lock(txn: &impl ConnectionTrait, id: Uuid) -> Result<token::Model, Error> {
    let row = token::Entity::find_by_id(id).lock_exclusive().one(txn).await?;
    row.ok_or(Error::NotFound("token"))
}

/// Refuses a change to a token that no longer works.
fn must_work(row: &token::Model, now: Timestamp, precision: Duration) -> Result<(), Error> {
    match row.state(now, precision) {
        State::Active => Ok(()),
        State::Expired => Err(Error::Conflict("the token has expired".to_owned())),
        State::Revoked => Err(Error::Conflict("the token has been revoked".to_owned())),
    }
}

fn select() -> Select<token::Entity> {
    token::Entity::find()
        .join(JoinType::LeftJoin, to_user())
        .column_as(user::Column::Username, "username")
        .column_as(user::Column::Scopes, "user_scopes")
}

fn to_user() -> RelationDef {
    token::Entity::belongs_to(user::Entity).from(token::Column::UserId).to(user::Column::Id).into()
}
