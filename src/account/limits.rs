//! Limits on attempts, counted in the database so that replicas and every door share them.
//!
//! An attempt is counted before the password is hashed, and for names that do not exist as for those that do: fifty
//! guesses at once count as fifty, and being throttled tells nothing about a name.

use std::{net::IpAddr, sync::Arc, time::Duration};

use entity::{Timestamp, attempt};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, sea_query::OnConflict,
};
use tokio::sync::OwnedMutexGuard;

use crate::{app::App, error::Error, write::write};

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
pub async fn login_from(app: &Arc<App>, address: IpAddr, now: Timestamp) -> Result<(), Error> {
    let limit = app.config.limits.login_per_minute_per_ip;
    count(app, format!("login-address:{address}"), limit, MINUTE, Window::Fixed, now).await
}

/// Counts a request to revoke by possession from an address, with the same limit.
pub async fn revocation_from(app: &Arc<App>, address: IpAddr, now: Timestamp) -> Result<(), Error> {
    let limit = app.config.limits.login_per_minute_per_ip;
    count(app, format!("revoke-address:{address}"), limit, MINUTE, Window::Fixed, now).await
}

/// Counts an attempt on an account in its turn, which lasts until what is returned is dropped. Refuses it when `limits.login_failures_before_lock` came before it without a
/// success. Counting begins anew when nothing was tried for `limits.lock_for`.
pub async fn login_as(
    app: &Arc<App>,
    canonical_name: &str,
    now: Timestamp,
) -> Result<Option<OwnedMutexGuard<()>>, Error> {
    let limits = &app.config.limits;
    let limit = limits.login_failures_before_lock;
    if limit == 0 {
        return Ok(None);
    }
    let turn = app.turns.of(canonical_name).await?;
    count(app, name_subject(canonical_name), limit, limits.lock_for, Window::Sliding, now).await?;
    Ok(Some(turn))
}

/// Forgets what was counted against an account: its password was right.
pub async fn forget(db: &impl ConnectionTrait, canonical_name: &str) -> Result<(), DbErr> {
    attempt::Entity::delete_by_id(name_subject(canonical_name)).exec(db).await.map(drop)
}

fn name_subject(canonical_name: &str) -> String {
    format!("login-name:{canonical_name}")
}

/// Counts one attempt, unless `limit` have been counted in this window already; a limit of 0 is none.
async fn count(
    app: &Arc<App>,
    subject: String,
    limit: u32,
    length: Duration,
    window: Window,
    now: Timestamp,
) -> Result<(), Error> {
    if limit == 0 {
        return Ok(());
    }
    let end = now.plus_seconds(i64::try_from(length.as_secs()).unwrap_or(i64::MAX));
    write(app, move |write| {
        Box::pin(async move {
            let row = locked(write.txn(), &subject, now).await?;
            let next = if row.expires_at <= now {
                attempt::Model { count: 1, expires_at: end, ..row }
            } else if row.count < i64::from(limit) {
                let expires_at = if window == Window::Sliding { end } else { row.expires_at };
                attempt::Model { count: row.count + 1, expires_at, ..row }
            } else {
                let wait = u64::try_from(row.expires_at.millis_since(now)).unwrap_or(0);
                return Err(Error::Throttled { retry_after: Duration::from_millis(wait) });
            };
            attempt::Entity::update(next.into_active_model().reset_all()).exec_without_returning(write.txn()).await?;
            Ok(())
        })
    })
    .await
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
