//! Tokens: what they look like, and a file for each thing that is done with them. `held` and `row` are what is known of
//! one; [`checker`] and `reads` where that comes from; `family` which refresh tokens end together.
//!
//! Every function takes `now`, and a database handle that may be a pool or a transaction. None knows HTTP.

pub mod at_once;
pub mod changes;
pub mod check;
pub mod checker;
mod family;
mod held;
pub mod issue;
pub mod list;
mod reads;
pub mod refresh;
pub mod renew;
pub mod revoke;
pub mod rotate;
mod row;
pub mod secret;
pub mod usage;

use std::time::Duration;

use entity::{Scopes, Timestamp, token};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QuerySelect};
use uuid::Uuid;

pub use entity::{State, token::Kind};
pub use held::{Held, HeldRef, LimitedBy};

use crate::{
    app::App,
    db::{Engine, dialect},
    error::Error,
    pause::pause,
    write::Write,
};

/// Whose tokens a question or a change is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A user's.
    User(Uuid),
    /// A client's own, which have no user.
    Client(String),
}

impl Owner {
    /// The condition that a token is theirs.
    fn tokens(&self, engine: Engine) -> Condition {
        match self {
            Self::User(user) => dialect::tokens_of(engine, *user),
            Self::Client(client) => {
                Condition::all().add(token::Column::UserId.is_null()).add(token::Column::ClientId.eq(client))
            }
        }
    }
}

/// Reads one token by its id.
pub async fn find(db: &impl ConnectionTrait, id: Uuid) -> Result<Option<Held>, DbErr> {
    let found = row::find(db, &[id]).await?.pop();
    Ok(found.map(|(_, row)| row).transpose()?.map(Held::from))
}

/// How far the recording of use may lag behind, from the settings.
pub fn precision(app: &App) -> Duration {
    app.config.check.last_used_precision
}

/// The row inside a transaction that is about to change it, locked where the engine locks rows; and the time, which may
/// have gone on while the lock was waited for.
async fn lock(app: &App, write: &Write<'_>, id: Uuid) -> Result<(token::Model, Timestamp), Error> {
    let row = token::Entity::find_by_id(id).lock_exclusive().one(write.txn()).await?;
    pause!(app.db, Locked);
    Ok((row.ok_or(Error::NotFound("token"))?, app.clock.now()))
}

/// Refuses to hand on what goes beyond `powers`. All that the token was issued with counts: a scope that its user may not
/// use just now may come back.
fn must_be_within(row: &token::Model, powers: &Scopes) -> Result<(), Error> {
    if powers.contains_all(&row.scopes) {
        Ok(())
    } else {
        Err(Error::InsufficientScope { needed: row.scopes.to_string() })
    }
}

/// Refuses a change to a token that no longer works.
fn must_work(app: &App, row: &token::Model, now: Timestamp) -> Result<(), Error> {
    match row.life().state(now, precision(app)) {
        State::Active => Ok(()),
        State::Expired => Err(Error::Conflict("the token has expired".to_owned())),
        State::Revoked => Err(Error::Conflict("the token has been revoked".to_owned())),
    }
}
