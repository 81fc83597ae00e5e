//! Ending tokens. A revoked token never works again: nothing in the code unsets `revoked_at`.

use std::sync::Arc;

use entity::{Timestamp, expiry, token};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect,
    sea_query::Expr,
};
use uuid::Uuid;

use super::{
    Held, Kind, Owner, check, precision,
    row::{Row, select},
};
use crate::{
    app::App,
    error::Error,
    write::{Write, write},
};

/// How many tokens may be handed in at once.
pub const MOST_AT_ONCE: usize = 500;

/// Ends one token; one that is already revoked keeps the time it was.
pub async fn one(app: &Arc<App>, id: Uuid, now: Timestamp) -> Result<(), Error> {
    write(app, move |write| Box::pin(async move { Ok(these(write, vec![id], now).await?) })).await
}

/// Ends these tokens, as part of something larger.
pub async fn these(write: &Write<'_>, tokens: Vec<Uuid>, now: Timestamp) -> Result<(), DbErr> {
    revoke(write.txn(), token::Column::Id.is_in(tokens.iter().copied()).into(), now).await?;
    write.changed(tokens);
    Ok(())
}

/// Ends an owner's tokens of some kinds, but for one that is spared; tells how many of them worked.
///
/// It ends those too that have expired by this clock: one that is a little behind might still renew them, and a use that
/// is not written yet might move their end.
pub async fn all_of(
    app: &App,
    write: &Write<'_>,
    owner: &Owner,
    kinds: &[Kind],
    spared: Option<Uuid>,
    now: Timestamp,
) -> Result<u64, DbErr> {
    let theirs = Condition::all()
        .add(owner.tokens(app.db.engine()))
        .add(token::Column::Kind.is_in(kinds.iter().copied()))
        .add_option(spared.map(|id| token::Column::Id.ne(id)));
    all(app, write, theirs, now).await
}

/// Ends every token that was issued to a client, whoever's it is; tells how many of them worked.
pub async fn all_issued_to(app: &App, write: &Write<'_>, client_id: &str, now: Timestamp) -> Result<u64, DbErr> {
    all(app, write, token::Column::ClientId.eq(client_id).into(), now).await
}

async fn all(app: &App, write: &Write<'_>, which: Condition, now: Timestamp) -> Result<u64, DbErr> {
    let theirs = which.add(token::Column::RevokedAt.is_null());
    let all = token::Entity::find().filter(theirs.clone());
    let working = all.clone().filter(expiry::active(now, precision(app))).count(write.txn()).await?;
    write.changed(all.select_only().column(token::Column::Id).into_tuple().all(write.txn()).await?);
    revoke(write.txn(), theirs, now).await?;
    Ok(working)
}

/// Ends each of these tokens that is real: whoever holds a token may end it (RFC 7009 §2 in spirit, without a client).
///
/// It tells nothing of what it found.
pub async fn by_possession(app: &Arc<App>, tokens: &[String], now: Timestamp) -> Result<(), Error> {
    let presented: Vec<_> = tokens.iter().filter_map(|text| check::parse(app, text, now)).collect();
    let ids = presented.iter().map(|presented| presented.id);
    let rows: Vec<Row> = select().filter(token::Column::Id.is_in(ids)).into_model().all(app.db.reader()).await?;
    let possessed: Vec<_> = rows
        .into_iter()
        .map(Held::from)
        .filter(|held| presented.iter().any(|it| it.id == held.id() && check::possesses(held, &it.digest, now)))
        .map(|held| held.id())
        .collect();
    if possessed.is_empty() {
        return Ok(());
    }
    write(app, move |write| Box::pin(async move { Ok(these(write, possessed, now).await?) })).await
}

/// One conditional update: it rests on no read.
async fn revoke(db: &impl ConnectionTrait, which: Condition, now: Timestamp) -> Result<(), DbErr> {
    token::Entity::update_many()
        .col_expr(token::Column::RevokedAt, Expr::value(now))
        .col_expr(token::Column::ChangedAt, Expr::value(now))
        .filter(which)
        .filter(token::Column::RevokedAt.is_null())
        .exec(db)
        .await
        .map(drop)
}
