//! What maintenance is about in this process: when each job runs, what goes on, and how it is stopped.

use std::time::Duration;

use entity::maintenance_job as row;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    job::{Job, Scheduled},
    sanity::Pace,
    schedule::{BadSchedule, Schedule},
};
use crate::{clock::Clock, config::Config, db::Engine, error::Error, id};

/// What maintenance is about in this process.
#[derive(Debug)]
pub struct Maintenance {
    /// The jobs that this database needs, and when they run.
    pub jobs: Vec<Scheduled>,
    /// How the clock goes.
    pub(super) pace: Pace,
    pub(super) tasks: TaskTracker,
    /// Asks all runs to stop after the batch in hand.
    pub stop: CancellationToken,
    /// When this process began.
    pub since: entity::Timestamp,
}

/// Why a run did not begin.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// One is running; two would only wait for each other.
    #[error("a {} is already running on {}{}", .0.name, .0.holder, since(.0))]
    Running(Box<row::Model>),
    /// That time of the schedule was served by another.
    #[error("that time of the schedule has been served")]
    Served,
    /// It could not be recorded.
    #[error(transparent)]
    Failed(#[from] Error),
}

fn since(row: &row::Model) -> String {
    // The key of a run carries the instant it began at.
    row.run_id.map_or_else(String::new, |run| format!(", since {}", id::made_at(run)))
}

impl Maintenance {
    /// Nothing runs yet.
    pub fn new(config: &Config, engine: Engine, clock: &Clock) -> Result<Self, BadSchedule> {
        let jobs = Job::of(engine)
            .map(|job| Ok(Scheduled { job, schedule: Schedule::parse(job.cron(&config.maintenance))? }))
            .collect::<Result<_, BadSchedule>>()?;
        Ok(Self {
            jobs,
            pace: Pace::new(clock),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            since: clock.now(),
        })
    }

    /// Asks runs to stop after the batch in hand, and waits until they have.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.finish().await;
    }

    /// Waits until what was started has ended by itself.
    pub async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Waits so long, unless it is time to stop: then false.
    pub(super) async fn pause(&self, duration: Duration) -> bool {
        tokio::time::timeout(duration, self.stop.cancelled()).await.is_err()
    }
}
