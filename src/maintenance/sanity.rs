//! Whether the clock can be believed: by one that jumped, live tokens look stale.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use entity::Timestamp;
use sea_orm::DbErr;

use super::{job::Job, lease};
use crate::{
    app::App,
    clock::{Clock, NOTICED_SKEW, TOLERATED_SKEW},
    db::Engine,
};

/// How often the clocks are compared for the log; readiness does so whenever it is asked.
const COMPARED_EVERY: Duration = Duration::from_secs(10);

/// How this machine's clock disagrees with the database's, with the last purge that worked, or with the time that went by; none
/// if it does not. The purge speaks for all jobs, for it is the one that a person can force.
pub async fn jump(app: &App) -> Result<Option<String>, DbErr> {
    let skew = skew(app).await?;
    if skew.abs() > TOLERATED_SKEW {
        return Ok(Some(format!("the clock is {}; `daypass purge --force` runs all the same", against_database(skew))));
    }
    let accepted = lease::of(&app.db, Job::Purge).await?.and_then(|row| row.accepted_at);
    if let Some(back) = behind(accepted, app.clock.now()) {
        return Ok(Some(back));
    }
    // An embedded database has no clock of its own to compare with.
    Ok(if app.db.engine() == Engine::Sqlite { app.maintenance.pace.jumped(&app.clock, accepted) } else { None })
}

/// How far this machine's clock is ahead of the database's, in milliseconds.
pub async fn skew(app: &App) -> Result<i64, DbErr> {
    let before = app.clock.now();
    Ok(app.clock.skew(before, app.db.now().await?))
}

/// Compares the two for as long as it is polled, and says when they part and when they agree again.
pub async fn keep_comparing(app: &App) {
    let mut apart = false;
    loop {
        if let Ok(skew) = skew(app).await
            && apart != (skew.abs() > NOTICED_SKEW)
        {
            apart = !apart;
            if apart {
                tracing::warn!("the clock is {}: tokens end as much too early or too late", against_database(skew));
            } else {
                tracing::info!("the clock agrees with the database's again");
            }
        }
        tokio::time::sleep(COMPARED_EVERY).await;
    }
}

/// How a clock stands to the database's, from which it differs by so many milliseconds.
pub fn against_database(skew: i64) -> String {
    let direction = if skew > 0 { "ahead of" } else { "behind" };
    format!("{} ms {direction} the database's", skew.abs())
}

/// How `now` is behind the last purge that worked.
pub fn behind(accepted: Option<Timestamp>, now: Timestamp) -> Option<String> {
    let accepted = accepted?;
    let back = accepted.millis_since(now);
    (back > TOLERATED_SKEW).then(|| {
        format!(
            "the clock is {back} ms behind the last run's, which began {accepted}; if it is right now, \
             `daypass purge --force` runs all the same, and later runs are compared with that one"
        )
    })
}

/// Two clocks read at once, when they were last believed: one that people set, and one that nobody does.
#[derive(Debug)]
pub struct Pace(Mutex<(Timestamp, i64)>);

impl Pace {
    /// Believes the clock as it is now.
    pub fn new(clock: &Clock) -> Self {
        Self(Mutex::new((clock.now(), clock.uptime())))
    }

    /// How much further than time the clock went. One that jumped is believed once a purge, which somebody forced, accepted it;
    /// and a step within bounds always, so that many small corrections do not add up.
    fn jumped(&self, clock: &Clock, accepted: Option<Timestamp>) -> Option<String> {
        let mut believed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, uptime) = (clock.now(), clock.uptime());
        let expected = Timestamp::from_millis(believed.0.millis() + (uptime - believed.1));
        let ahead = now.millis_since(expected);
        let believable =
            ahead <= TOLERATED_SKEW || accepted.is_some_and(|at| at.millis_since(expected) > TOLERATED_SKEW);
        if believable {
            *believed = (now, uptime);
            return None;
        }
        Some(format!(
            "the clock went {ahead} ms further than time did since this process last believed it; if it is right now, \
             `daypass purge --force` runs all the same, and the service believes it after that"
        ))
    }
}
