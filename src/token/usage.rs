//! When a token was last used, and where that moves the end of a sliding one.

use entity::{Timestamp, expiry, token};
use sea_orm::{ColumnTrait, Condition, DbErr, EntityTrait, QueryFilter, sea_query::Expr};

use super::precision;
use crate::{app::App, error::Storage};

/// Notes a use at `now`, in the row at hand and in the database if what is recorded there is too old.
///
/// A use is no reason to refuse anything: where it cannot be written, the check still answers, and the log says so.
pub async fn record(app: &App, row: &mut token::Model, now: Timestamp) {
    let due = is_due(app, row, now);
    let before = row.last_used_at;
    row.last_used_at = before.max(Some(now));
    row.expires_at = row.slid_to(now).max(row.expires_at);
    if due && let Err(error) = write(app, row).await {
        tracing::warn!(token_id = %row.id, error = %Storage::from(error), "a token's use was not recorded");
    }
}

/// The first use always is; later ones when the record lags by more than its readers allow for.
fn is_due(app: &App, row: &token::Model, now: Timestamp) -> bool {
    let precision = precision(app);
    let lag = match row.idle_timeout {
        Some(idle) => expiry::allowance(idle, precision),
        None => i64::try_from(precision.as_millis()).unwrap_or(i64::MAX),
    };
    row.last_used_at.is_none_or(|last| now.millis_since(last) >= lag)
}

async fn write(app: &App, row: &token::Model) -> Result<(), DbErr> {
    let earlier =
        Condition::any().add(token::Column::LastUsedAt.is_null()).add(token::Column::LastUsedAt.lt(row.last_used_at));
    token::Entity::update_many()
        .col_expr(token::Column::LastUsedAt, Expr::value(row.last_used_at))
        .col_expr(token::Column::ExpiresAt, Expr::value(row.expires_at))
        .filter(token::Column::Id.eq(row.id))
        // A renewal in between has moved the ends: then this row's idea of them is old, and the next use writes anew.
        .filter(token::Column::TtlExpiresAt.eq(row.ttl_expires_at))
        .filter(token::Column::RevokedAt.is_null())
        .filter(earlier)
        .exec(app.db.writer())
        .await
        .map(drop)
}
