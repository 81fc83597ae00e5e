//! The only place that reads the time. Everything else takes `now` as an argument, read once per request.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use entity::Timestamp;
use nix::time::{ClockId, clock_gettime};

/// How far this machine's clock may be from the database's, in milliseconds.
pub const TOLERATED_SKEW: i64 = 30_000;

/// How far it may be before somebody should know.
pub const NOTICED_SKEW: i64 = 1000;

/// Where the time comes from.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A clock that stands still until it is moved: time as data, for tests.
    Manual {
        /// What it showed at first.
        start: Timestamp,
        /// What it shows, in Unix milliseconds.
        millis: Arc<AtomicI64>,
        /// How much of that it was set ahead, while no time went by.
        jumped: Arc<AtomicI64>,
    },
}

impl Clock {
    /// A clock that shows `start` until it is moved.
    pub fn manual(start: Timestamp) -> Self {
        Self::Manual { start, millis: Arc::new(AtomicI64::new(start.millis())), jumped: Arc::default() }
    }

    /// The present instant, cut to the millisecond.
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => chrono::Utc::now().into(),
            Self::Manual { millis, .. } => Timestamp::from_millis(millis.load(Ordering::SeqCst)),
        }
    }

    /// Milliseconds since some instant before: it never goes back, whatever becomes of the clock, and on
    /// Linux goes on while the machine sleeps.
    pub fn uptime(&self) -> i64 {
        match self {
            // A clock fails only where there is none such, and the second one is everywhere.
            Self::System => clock_gettime(UPTIME)
                .or_else(|_| clock_gettime(ClockId::CLOCK_MONOTONIC))
                .map_or(0, |time| time.tv_sec() * 1000 + time.tv_nsec() / 1_000_000),
            Self::Manual { start, millis, jumped } => {
                millis.load(Ordering::SeqCst) - start.millis() - jumped.load(Ordering::SeqCst)
            }
        }
    }

    /// How far this clock is ahead of another, in milliseconds, which was read between `before` and now; as far as that cannot be
    /// the time that the reading took. A manual clock is compared with nobody's.
    pub fn skew(&self, before: Timestamp, other: Timestamp) -> i64 {
        match self {
            Self::System => beyond(before, other, self.now()),
            Self::Manual { .. } => 0,
        }
    }

    /// Sets a manual clock ahead by so many milliseconds, as if somebody had done so: no time goes by.
    pub fn jump(&self, millis: i64) {
        if let Self::Manual { jumped, .. } = self {
            jumped.fetch_add(millis, Ordering::SeqCst);
            self.advance(millis);
        }
    }

    /// Moves a manual clock by so many milliseconds, back if negative; the machine's clock is left alone.
    pub fn advance(&self, millis: i64) {
        if let Self::Manual { millis: current, .. } = self {
            current.fetch_add(millis, Ordering::SeqCst);
        }
    }
}

/// How far an instant lies outside of what lies between two others: negative after, positive before.
fn beyond(before: Timestamp, other: Timestamp, after: Timestamp) -> i64 {
    before.millis_since(other).max(0) + after.millis_since(other).min(0)
}

/// The standard library's stands still while a machine sleeps, and what was known before would be fresh after.
#[cfg(target_os = "linux")]
const UPTIME: ClockId = ClockId::CLOCK_BOOTTIME;
#[cfg(not(target_os = "linux"))]
const UPTIME: ClockId = ClockId::CLOCK_MONOTONIC;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_answer_is_no_skew() {
        let at = Timestamp::from_millis;
        assert_eq!(beyond(at(10_000), at(10_000), at(10_000)), 0);
        assert_eq!(beyond(at(10_000), at(11_000), at(12_000)), 0);
        assert_eq!(beyond(at(10_000), at(8_000), at(12_000)), 2_000, "ahead");
        assert_eq!(beyond(at(10_000), at(15_000), at(12_000)), -3_000, "behind");
    }
}
