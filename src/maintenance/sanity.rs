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
    pause::pause,
};

/// How often the clocks are compared for the log; readiness does so whenever it is asked.
const COMPARED_EVERY: Duration = Duration::from_secs(10);

/// The clock, found right unless it is to be believed anyhow (`force`); or else what is wrong with it.
///
/// It may be set, once, while this is found out. Then it is what it showed before or what it shows after, whichever is earlier: by
/// that nothing is deleted that works, and no later clock is refused for being behind it.
pub async fn believe(app: &App, force: bool) -> Result<Result<Reading, String>, DbErr> {
    let before = Reading::new(&app.clock);
    pause!(app.db, Clock);
    match jump(app).await? {
        Some(jump) if !force => Ok(Err(jump)),
        _ => Ok(Ok(before.or_set_back(&app.clock))),
    }
}

/// How this machine's clock disagrees with the database's, with the last purge that worked, or with the time that went by; none
/// if it does not. The purge speaks for all jobs, for it is the one that a person can force.
async fn jump(app: &App) -> Result<Option<String>, DbErr> {
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

/// Two clocks, read at once: one that people set, and one that nobody does.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// What the first showed.
    pub at: Timestamp,
    uptime: i64,
}

impl Reading {
    /// What they show now.
    pub fn new(clock: &Clock) -> Self {
        Self { at: clock.now(), uptime: clock.uptime() }
    }

    /// What the first would show at this time of the second, had nobody set it.
    fn expected_at(self, uptime: i64) -> Timestamp {
        Timestamp::from_millis(self.at.millis() + (uptime - self.uptime))
    }

    /// What the clock shows, but for how far it was set ahead since.
    pub fn now(self, clock: &Clock) -> Timestamp {
        clock.now().min(self.expected_at(clock.uptime()))
    }

    /// This one, or one that is taken now if the clock was set back in between.
    fn or_set_back(self, clock: &Clock) -> Self {
        let now = Self::new(clock);
        if now.at < self.expected_at(now.uptime) { now } else { self }
    }
}

/// The clock when it was last believed.
#[derive(Debug)]
pub struct Pace(Mutex<Reading>);

impl Pace {
    /// Believes the clock as it is now.
    pub fn new(clock: &Clock) -> Self {
        Self(Mutex::new(Reading::new(clock)))
    }

    /// How much further than time the clock went. One that jumped is believed once a purge, which somebody forced, accepted it;
    /// and a step within bounds always, so that many small corrections do not add up. One that was set back is believed where it
    /// was before, too: else to set it right again would be a jump.
    fn jumped(&self, clock: &Clock, accepted: Option<Timestamp>) -> Option<String> {
        let mut believed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Reading::new(clock);
        let expected = believed.expected_at(now.uptime);
        let ahead = now.at.millis_since(expected);
        let believable =
            ahead <= TOLERATED_SKEW || accepted.is_some_and(|at| at.millis_since(expected) > TOLERATED_SKEW);
        if believable {
            if ahead > 0 {
                *believed = now;
            }
            return None;
        }
        Some(format!(
            "the clock went {ahead} ms further than time did since this process last believed it; if it is right now, \
             `daypass purge --force` runs all the same, and the service believes it after that"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    #[test]
    fn a_clock_that_is_set_after_it_was_read_is_the_earlier_one() {
        let clock = Clock::manual(Timestamp::from_millis(100 * DAY));
        let reading = Reading::new(&clock);
        clock.advance(5);
        assert_eq!(reading.now(&clock), clock.now(), "time goes by");
        clock.jump(3 * DAY);
        assert_eq!(reading.now(&clock).millis(), 100 * DAY + 5, "set ahead");
        assert_eq!(reading.or_set_back(&clock).at, reading.at);
        clock.jump(-4 * DAY);
        assert_eq!(reading.now(&clock), clock.now(), "set back");
        assert_eq!(reading.or_set_back(&clock).at, clock.now());
    }

    #[test]
    fn a_clock_that_is_set_back_and_right_again_has_not_jumped() {
        let clock = Clock::manual(Timestamp::from_millis(100 * DAY));
        let pace = Pace::new(&clock);
        for step in [-60_000, 60_000, -28_000, -28_000, 56_000, TOLERATED_SKEW] {
            clock.jump(step);
            assert_eq!(pace.jumped(&clock, None), None, "{step}");
        }
        clock.jump(TOLERATED_SKEW + 1);
        assert!(pace.jumped(&clock, None).is_some());
    }
}
