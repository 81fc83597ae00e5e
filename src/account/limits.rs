//! Limits on attempts, counted in the database so that replicas and every door share them.
//!
//! An attempt is counted before the password is hashed, and for names that do not exist as for those that do: fifty
//! guesses at once count as fifty, and being throttled tells nothing about a name.

use std::{net::IpAddr, time::Duration};

use entity::{Timestamp, attempt};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter,
    sea_query::OnConflict,
};

use crate::{app::App, error::Error};

const MINUTE: Duration = Duration::from_mins(1);

/// When a window of counting ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Window {
    /// So long after its first attempt.
    Fixed,
    /// So long after its last one.
    Sliding,
}

/// Counts an attempt to log in from an address and refuses it beyond `limits.login_per_minute_per_ip`.
pub async fn login_from(app: &App, address: IpAddr, now: Timestamp) -> Result<(), Error> {
    let limit = app.config.limits.login_per_minute_per_ip;
    count(app, &format!("login-address:{address}"), limit, MINUTE, Window::Fixed, now).await
}

/// Counts a request to revoke by possession from an address, with the same limit.
pub async fn revocation_from(app: &App, address: IpAddr, now: Timestamp) -> Result<(), Error> {
    let limit = app.config.limits.login_per_minute_per_ip;
    count(app, &format!("revoke-address:{address}"), limit, MINUTE, Window::Fixed, now).await
}

/// Counts an attempt on an account, and refuses it when `limits.login_failures_before_lock` came before it without a
/// success. Counting begins anew when nothing was tried for `limits.lock_for`.
pub async fn login_as(app: &App, canonical_name: &str, now: Timestamp) -> Result<(), Error> {
    let limits = &app.config.limits;
    let window = Window::Sliding;
    count(app, &name_subject(canonical_name), limits.login_failures_before_lock, limits.lock_for, window, now).await
}

/// Forgets what was counted against an account: its password was right.
pub async fn forget(db: &impl ConnectionTrait, canonical_name: &str) -> Result<(), DbErr> {
    attempt::Entity::delete_by_id(name_subject(canonical_name)).exec(db).await.map(drop)
}

/// Deletes counters whose window is over.
pub async fn purge(db: &impl ConnectionTrait, now: Timestamp) -> Result<u64, DbErr> {
    let spent = attempt::Entity::delete_many().filter(attempt::Column::ExpiresAt.lte(now));
    Ok(spent.exec(db).await?.rows_affected)
}

fn name_subject(canonical_name: &str) -> String {
    format!("login-name:{canonical_name}")
}

/// Counts one attempt, unless `limit` have been counted in this window already; a limit of 0 is none.
async fn count(
    app: &App,
    subject: &str,
    limit: u32,
    length: Duration,
    window: Window,
    now: Timestamp,
) -> Result<(), Error> {
    if limit == 0 {
        return Ok(());
    }
    let txn = app.db.begin().await?;
    let end = now.plus_seconds(i64::try_from(length.as_secs()).unwrap_or(i64::MAX));
    let row = locked(&txn, subject, now).await?;
    let next = if row.expires_at <= now {
        attempt::Model { count: 1, expires_at: end, ..row }
    } else if row.count < i64::from(limit) {
        let expires_at = if window == Window::Sliding { end } else { row.expires_at };
        attempt::Model { count: row.count + 1, expires_at, ..row }
    } else {
        let wait = u64::try_from(row.expires_at.millis_since(now)).unwrap_or(0);
        return Err(Error::Throttled { retry_after: Duration::from_millis(wait) });
    };
    attempt::Entity::update(next.into_active_model().reset_all()).exec_without_returning(&txn).await?;
    txn.commit().await?;
    Ok(())
}

/// The counter's row, made if it is not there. Writing it, even unchanged, locks it: attempts made at the same moment
/// queue here and are counted one by one.
async fn locked(txn: &impl ConnectionTrait, subject: &str, now: Timestamp) -> Result<attempt::Model, DbErr> {
    let fresh = attempt::ActiveModel { subject: Set(subject.to_owned()), count: Set(0), expires_at: Set(now) };
    let unchanged = OnConflict::column(attempt::Column::Subject).update_column(attempt::Column::Subject).to_owned();
    attempt::Entity::insert(fresh).on_conflict(unchanged).exec_without_returning(txn).await?;
    let row = attempt::Entity::find_by_id(subject).one(txn).await?;
    row.ok_or_else(|| DbErr::RecordNotFound("a counter that was just written".to_owned()))
}
