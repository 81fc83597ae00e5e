//! Seeing what others changed: one look at the `change` table tells which remembered tokens to forget.
//!
//! A replica looks a few times per `check.max_staleness`, and answers from memory only while its last good look began no
//! longer ago than that (see [`super::checker`]); so that is how late a change elsewhere can be seen, at the most. What
//! the promise rests on:
//!
//! - **A change that was committed late.** Rows carry the second in which they were written, a moment before their
//!   commit, so one can turn up in a second that was looked at already. Each look therefore looks back over all of
//!   [`LATE`]; a writer whose commit took longer notes its change once more before it tells anybody ([`crate::write`]).
//! - **A clock that is off.** Readiness takes a replica out that is more than [`TOLERATED_SKEW`] from the database, so
//!   two of them are at most twice that apart, and each look goes back so much further.
//! - **It stays cheap.** Rows are only ever added, so a second that holds as many rows as at the last look holds nothing
//!   new. A look counts the rows of each second in that window, which an engine does within the key, and reads only the
//!   seconds that have grown: mostly the present one. That costs the same whether ten tokens are remembered or a million.
//! - **A change that is removed** is so minutes after the window (`KEPT`); a replica that could not look for that long
//!   forgets everything.

use std::{collections::BTreeMap, time::Duration};

use entity::{Timestamp, change};
use sea_orm::{ColumnTrait, Condition, DbErr, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use crate::{app::App, clock::TOLERATED_SKEW, error::Storage, pause::pause};

/// How long a commit may take after what it changed was noted.
pub const LATE: Duration = Duration::from_secs(15);

/// How far each look goes back, in seconds.
const WINDOW: i64 = 2 * TOLERATED_SKEW / 1000 + 15;

/// How long a change is kept, in seconds.
const KEPT: i64 = 15 * 60;

/// More changes than these since the last look, and forgetting everything is cheaper than reading them.
const MANY: i64 = 100_000;

/// What the last good look saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// When it was, by the clock.
    at: Option<Timestamp>,
    /// How many rows each second of the window held.
    rows: BTreeMap<i64, i64>,
}

/// Looks once, and forgets what changed since the last time.
pub async fn look(app: &App) -> Result<(), DbErr> {
    let mut seen = app.checker.seen.lock().await;
    let (began, now) = (app.clock.uptime(), app.clock.now());
    let last = seen.at.filter(|last| now.millis_since(*last) < KEPT * 1000 / 2);
    // A clock that was put back must not hide what happened since.
    let from = last.map_or(now, |last| last.min(now)).millis().div_euclid(1000) - WINDOW;
    let rows = counts(app, from).await?;
    pause!(app.db, Counted);
    if last.is_none() {
        app.checker.forget_everything();
    } else {
        forget(app, &seen.rows, &rows).await?;
    }
    *seen = Seen { at: Some(now), rows };
    app.checker.looked(began);
    Ok(())
}

async fn counts(app: &App, from: i64) -> Result<BTreeMap<i64, i64>, DbErr> {
    let counts: Vec<(i64, i64)> = change::Entity::find()
        .select_only()
        .column(change::Column::Second)
        .column_as(change::Column::Id.count(), "rows")
        .filter(change::Column::Second.gte(from))
        .group_by(change::Column::Second)
        .into_tuple()
        .all(app.db.reader())
        .await?;
    Ok(counts.into_iter().collect())
}

async fn forget(app: &App, before: &BTreeMap<i64, i64>, rows: &BTreeMap<i64, i64>) -> Result<(), DbErr> {
    let grown: BTreeMap<i64, i64> = rows
        .iter()
        .map(|(second, rows)| (*second, rows - before.get(second).copied().unwrap_or(0)))
        .filter(|(_, more)| *more > 0)
        .collect();
    if grown.values().sum::<i64>() > MANY {
        app.checker.forget_everything();
    } else if !grown.is_empty() {
        let changed: Vec<Uuid> = change::Entity::find()
            .select_only()
            .column(change::Column::TokenId)
            .filter(change::Column::Second.is_in(grown.into_keys()))
            .into_tuple()
            .all(app.db.reader())
            .await?;
        app.checker.forget(&changed);
    }
    Ok(())
}

/// Changes that nobody looks for any longer.
pub fn old(now: Timestamp) -> Condition {
    change::Column::Second.lt(now.millis().div_euclid(1000) - KEPT).into()
}

/// Looks for as long as the process lives, five times per `check.max_staleness`.
pub async fn keep_looking(app: &App) {
    let every = app.config.check.max_staleness / 5;
    if every.is_zero() {
        return;
    }
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut well = true;
    loop {
        ticks.tick().await;
        let result = look(app).await;
        if well != result.is_ok() {
            well = result.is_ok();
            match result {
                Ok(()) => tracing::info!("changes made elsewhere are seen again"),
                Err(error) => tracing::error!(
                    error = %Storage::from(error),
                    "changes made elsewhere are not seen: every check asks the database until they are"
                ),
            }
        }
    }
}
