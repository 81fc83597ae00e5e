//! The jobs there are.

use std::time::Duration;

use entity::Timestamp;

use super::schedule::Schedule;
use crate::{config, db::Engine};

/// A job of maintenance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Job {
    /// Deletes tokens that are stale, and deleted users and clients whose tokens are gone.
    Purge,
    /// Deletes the notes of changes that every replica has seen.
    Changes,
    /// Deletes counters of attempts whose window is over, and addresses that are no longer known.
    Counters,
    /// Forgets the secrets that rotations replaced, once their overlap is over, and spent refresh tokens with their family.
    Rotations,
    /// Deletes the records of runs, and events of the audit trail, long ago.
    History,
    /// Gives space back, and keeps `SQLite`'s files and statistics in shape.
    Sqlite,
}

impl Job {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Purge, Self::Changes, Self::Counters, Self::Rotations, Self::History, Self::Sqlite];

    /// Those that an engine needs.
    pub fn of(engine: Engine) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |job| *job != Self::Sqlite || engine == Engine::Sqlite)
    }

    /// Its name, in the API, the metrics and the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Purge => "purge",
            Self::Changes => "changes",
            Self::Counters => "counters",
            Self::Rotations => "rotations",
            Self::History => "history",
            Self::Sqlite => "sqlite",
        }
    }

    /// The job of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|job| job.name() == name)
    }

    /// When it runs, by the settings.
    pub fn cron(self, settings: &config::Maintenance) -> &str {
        match self {
            Self::Purge => &settings.purge_schedule,
            Self::Changes => &settings.changes_schedule,
            Self::Counters => &settings.counters_schedule,
            Self::Rotations => &settings.rotations_schedule,
            Self::History => &settings.history_schedule,
            Self::Sqlite => &settings.sqlite_schedule,
        }
    }
}

/// A time of a schedule is served so late at most: replicas would all ask at once, and jobs of several services on one machine
/// begin together.
pub(super) const JITTER: Duration = Duration::from_secs(10);

/// A job and when it runs.
#[derive(Clone, Debug)]
pub struct Scheduled {
    /// The job.
    pub job: Job,
    /// When it runs.
    pub schedule: Schedule,
}

impl Scheduled {
    /// Whether it has not succeeded for so long that somebody should look: three times its schedule came round since.
    pub fn is_late(&self, succeeded_at: Timestamp, now: Timestamp) -> bool {
        let mut due = succeeded_at;
        for _ in 0..3 {
            match self.schedule.next_after(due) {
                Some(next) => due = next,
                None => return false,
            }
        }
        // The third may still be under way.
        due.plus_seconds(60) < now
    }
}
