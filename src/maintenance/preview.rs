//! What a purge would do, without doing it.

use entity::{Timestamp, token};
use sea_orm::{DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};

use super::stale::Reason;
use crate::app::App;

/// What would go, and what will be ripe later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// Rows that have been expired for longer than they are kept.
    pub expired: u64,
    /// Rows that have been revoked for longer than they are kept.
    pub revoked: u64,
    /// When the one that ended first did.
    pub oldest: Option<Timestamp>,
    /// How many more become purgeable within the next hour.
    pub within_1h: u64,
    /// Within the next day, that hour included.
    pub within_24h: u64,
    /// Within the next week, that day included.
    pub within_7d: u64,
}

const HOUR: i64 = 60 * 60;

/// Looks, and changes nothing.
pub async fn preview(app: &App, now: Timestamp) -> Result<Preview, DbErr> {
    let expired = count(app, Reason::Expired, now).await?;
    let revoked = count(app, Reason::Revoked, now).await?;
    let (mut oldest, mut later) = (None, [0; 3]);
    for reason in Reason::ALL {
        oldest = earlier(oldest, first(app, reason, now).await?);
    }
    for (more, hours) in later.iter_mut().zip([1, 24, 7 * 24]) {
        *more = backlog(app, now.plus_seconds(hours * HOUR)).await?.unsigned_abs().saturating_sub(expired + revoked);
    }
    let [hour, day, week] = later;
    Ok(Preview { expired, revoked, oldest, within_1h: hour, within_24h: day, within_7d: week })
}

/// How many rows are stale at `now`.
pub async fn backlog(app: &App, now: Timestamp) -> Result<i64, DbErr> {
    let mut sum = 0;
    for reason in Reason::ALL {
        sum += i64::try_from(count(app, reason, now).await?).unwrap_or(i64::MAX);
    }
    Ok(sum)
}

async fn count(app: &App, reason: Reason, now: Timestamp) -> Result<u64, DbErr> {
    token::Entity::find().filter(reason.stale(app, now)).count(app.db.reader()).await
}

async fn first(app: &App, reason: Reason, now: Timestamp) -> Result<Option<Timestamp>, DbErr> {
    let first = token::Entity::find()
        .select_only()
        .column(reason.column())
        .filter(reason.stale(app, now))
        .order_by_asc(reason.column())
        .into_tuple::<Option<Timestamp>>()
        .one(app.db.reader())
        .await?;
    Ok(first.flatten())
}

fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, None) | (None, one) => one,
    }
}
