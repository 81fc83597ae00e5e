//! Giving a token more time.

use entity::{Timestamp, token};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, sea_query::Expr};
use uuid::Uuid;

use super::{Held, find, lock, must_work, precision};
use crate::{app::App, error::Error};

/// Moves the end of a working token to `now + ttl`, at most to its `max_expires_at` and never back.
///
/// `ttl` defaults to the one it was issued with; more than the token's life allows is cut to that.
pub async fn renew(app: &App, id: Uuid, ttl: Option<i64>, now: Timestamp) -> Result<Held, Error> {
    if ttl.is_some_and(|ttl| ttl < 1) {
        return Err(Error::invalid("ttl", "must be at least 1 second"));
    }
    let txn = app.db.begin().await?;
    let mut row = lock(&txn, id).await?;
    must_work(&row, now, precision(app))?;
    row.ttl_expires_at = now.plus_seconds(ttl.unwrap_or(row.ttl)).min(row.max_expires_at).max(row.ttl_expires_at);
    row.expires_at = row.slid_to(now).max(row.expires_at);
    token::Entity::update_many()
        .col_expr(token::Column::TtlExpiresAt, Expr::value(row.ttl_expires_at))
        .col_expr(token::Column::ExpiresAt, Expr::value(row.expires_at))
        .col_expr(token::Column::ChangedAt, Expr::value(now))
        .filter(token::Column::Id.eq(id))
        .exec(&txn)
        .await?;
    let renewed = find(&txn, id).await?.ok_or(Error::NotFound("token"))?;
    txn.commit().await?;
    Ok(renewed)
}
