//! Giving a token more time.

use std::sync::Arc;

use entity::{Scopes, audit_event::Event, token};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, sea_query::Expr};
use uuid::Uuid;

use super::{Held, find, lock, must_be_within, must_work};
use crate::{
    app::App,
    audit::{Actor, Done},
    error::Error,
    write::write,
};

/// Moves the end of a working token to `now + ttl`, at most to its `max_expires_at` and never back, for somebody who
/// holds `powers`.
///
/// `ttl` defaults to the one it was issued with; more than the token's life allows is cut to that.
pub async fn renew(app: &Arc<App>, id: Uuid, powers: Scopes, ttl: Option<i64>, by: &Actor) -> Result<Held, Error> {
    if ttl.is_some_and(|ttl| ttl < 1) {
        return Err(Error::invalid("ttl", "must be at least 1 second"));
    }
    let shared = Arc::clone(app);
    write(app, by, move |write| {
        Box::pin(async move {
            let (mut row, now) = lock(&shared, write, id).await?;
            must_be_within(&row, &powers)?;
            must_work(&shared, &row, now)?;
            row.ttl_expires_at =
                now.plus_seconds(ttl.unwrap_or(row.ttl)).min(row.max_expires_at).max(row.ttl_expires_at);
            row.expires_at = row.life().slid_to(now);
            token::Entity::update_many()
                .col_expr(token::Column::TtlExpiresAt, Expr::value(row.ttl_expires_at))
                .col_expr(token::Column::ExpiresAt, Expr::value(row.expires_at))
                .col_expr(token::Column::ChangedAt, Expr::value(now))
                .filter(token::Column::Id.eq(id))
                .exec(write.txn())
                .await?;
            write.changed([id]);
            let renewed = Done::new(Event::TokenRenewed).token(id).user(row.user_id);
            write.record(renewed.client(row.client_id.as_deref()));
            find(write.txn(), id).await?.ok_or(Error::NotFound("token"))
        })
    })
    .await
}
