//! OAuth clients: programs that have credentials of their own (RFC 6749 §2).
//!
//! Administrators manage them ([`create`] and its neighbours); the OAuth doors ask [`authenticate()`] who is calling, and
//! [`lock_to_issue`] inside the transaction that makes a token for a client.
//!
//! A client's secret is a [`ClientSecret`] while it is made and shown once, and a digest ever after, as a token's is.

mod authenticate;
mod manage;
mod secret;

use entity::client::{Column, Entity};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::ExprTrait,
};
use uuid::Uuid;

pub use authenticate::{authenticate, lock_to_issue};
pub use entity::{Grant, Grants, client::Model};
pub(crate) use manage::lock;
pub use manage::{Change, Created, New, create, default_grants, delete, rotate_secret, update};
pub use secret::ClientSecret;

use crate::{
    db::{Engine, dialect},
    error::Error,
    token::secret::{id_text, read_id},
};

/// The client of this id, unless deleted.
pub async fn find(db: &impl ConnectionTrait, client_id: &str) -> Result<Model, Error> {
    look_up(db, client_id).await?.ok_or(Error::NotFound("client"))
}

/// One page of clients, newest first: made before the one named by `after`, see [`key`].
pub async fn list(
    db: &impl ConnectionTrait,
    engine: Engine,
    after: Option<Uuid>,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let id = dialect::by_bytes(engine, Column::ClientId);
    let before = after.map(|after| id.clone().lt(id_text(after)));
    Entity::find()
        .filter(Column::DeletedAt.is_null())
        .filter(Condition::all().add_option(before))
        .order_by_desc(id)
        .limit(limit)
        .all(db)
        .await
}

/// The number that a client id writes: where a page ends.
pub fn key(client: &Model) -> Uuid {
    read_id(&client.client_id).unwrap_or_default()
}

/// What can be no client's id is not looked up: databases do not take every text.
async fn look_up(db: &impl ConnectionTrait, client_id: &str) -> Result<Option<Model>, DbErr> {
    if read_id(client_id).is_none() {
        return Ok(None);
    }
    undeleted(client_id).one(db).await
}

fn undeleted(client_id: &str) -> Select<Entity> {
    Entity::find_by_id(client_id).filter(Column::DeletedAt.is_null())
}
