//! Ending tokens. A revoked token never works again: nothing in the code unsets `revoked_at`.

use entity::{Timestamp, expiry, token};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, sea_query::Expr};
use uuid::Uuid;

use super::{Held, Kind, Owner, check, precision, select};
use crate::{app::App, error::Error};

/// How many tokens may be handed in at once.
pub const MOST_AT_ONCE: usize = 500;

/// Ends one token; one that is already revoked keeps the time it was.
pub async fn by_id(db: &impl ConnectionTrait, id: Uuid, now: Timestamp) -> Result<(), DbErr> {
    revoke(db, token::Column::Id.eq(id).into(), now).await.map(drop)
}

/// Ends an owner's active tokens of some kinds, but for one that is spared; tells how many.
pub async fn all_of(
    app: &App,
    db: &impl ConnectionTrait,
    owner: &Owner,
    kinds: &[Kind],
    spared: Option<Uuid>,
    now: Timestamp,
) -> Result<u64, DbErr> {
    let theirs = Condition::all()
        .add(owner.tokens())
        .add(token::Column::Kind.is_in(kinds.iter().copied()))
        .add(expiry::active(now, precision(app)))
        .add_option(spared.map(|id| token::Column::Id.ne(id)));
    revoke(db, theirs, now).await
}

/// Ends each of these tokens that is real: whoever holds a token may end it (RFC 7009 §2 in spirit, without a client).
///
/// It tells nothing of what it found.
pub async fn by_possession(app: &App, tokens: &[String], now: Timestamp) -> Result<(), Error> {
    let presented: Vec<_> = tokens.iter().filter_map(|text| check::parse(app, text, now)).collect();
    let ids = presented.iter().map(|presented| presented.id);
    let held: Vec<Held> = select().filter(token::Column::Id.is_in(ids)).into_model().all(app.db.reader()).await?;
    let possessed: Vec<_> = held
        .iter()
        .filter(|held| presented.iter().any(|it| it.id == held.token.id && check::possesses(held, &it.digest, now)))
        .map(|held| held.token.id)
        .collect();
    revoke(app.db.writer(), token::Column::Id.is_in(possessed).into(), now).await?;
    Ok(())
}

/// One conditional update: it rests on no read, so it needs no transaction.
async fn revoke(db: &impl ConnectionTrait, which: Condition, now: Timestamp) -> Result<u64, DbErr> {
    let result = token::Entity::update_many()
        .col_expr(token::Column::RevokedAt, Expr::value(now))
        .col_expr(token::Column::ChangedAt, Expr::value(now))
        .filter(which)
        .filter(token::Column::RevokedAt.is_null())
        .exec(db)
        .await?;
    Ok(result.rows_affected)
}
