//! Housekeeping: deleting what is stale, on a schedule or when asked, and a record of what was done.
//!
//! - [`mod@purge`] is the step: a plain function that deletes in short transactions and reports;
//! - [`mod@schedule`] is the loop around it;
//! - [`mod@history`] and [`mod@preview`] tell what was done and what would be.
//!
//! Validity never rests on any of this: an expired token is refused whether or not its row is still there.

pub mod history;
pub mod preview;
pub mod purge;
pub mod schedule;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use entity::maintenance_run::{Model as Run, Trigger};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{app::App, config, error::Error};
use purge::Progress;
use schedule::{BadSchedule, Schedule};

/// What maintenance is doing in this process.
#[derive(Debug)]
pub struct Maintenance {
    /// When the purge runs.
    pub schedule: Schedule,
    current: Mutex<Option<Run>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Why a run did not begin.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// One is running; two would only wait for each other.
    #[error("a purge is already running on {}, since {}", .0.replica, .0.started_at)]
    Running(Box<Run>),
    /// It could not be recorded.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl Maintenance {
    /// Reads the schedule.
    pub fn new(settings: &config::Maintenance) -> Result<Self, BadSchedule> {
        Ok(Self {
            schedule: Schedule::parse(&settings.purge_schedule)?,
            current: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        })
    }

    /// Asks a run to stop after the batch in hand, and waits until it has.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn current(&self) -> MutexGuard<'_, Option<Run>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the one place there is for a run.
    fn reserve(&self, run: &Run) -> Result<(), NotStarted> {
        let mut current = self.current();
        if let Some(running) = current.as_ref() {
            return Err(NotStarted::Running(Box::new(running.clone())));
        }
        *current = Some(run.clone());
        Ok(())
    }
}

/// Purges now and waits for the end of it; `progress` is told after each batch. `force` purges by a clock that jumped.
pub async fn run(app: &App, trigger: Trigger, force: bool, progress: impl Progress) -> Result<Run, NotStarted> {
    let run = begin(app, trigger).await?;
    Ok(carry_out(app, run, force, progress).await)
}

/// Starts a purge and returns its record at once; the purge goes on by itself, and [`Maintenance::stop`] waits for it.
pub async fn start(app: &Arc<App>, trigger: Trigger) -> Result<Run, NotStarted> {
    let run = begin(app, trigger).await?;
    let (app, begun) = (Arc::clone(app), run.clone());
    app.clone().maintenance.tasks.spawn(async move { carry_out(&app, begun, false, ()).await });
    Ok(run)
}

async fn begin(app: &App, trigger: Trigger) -> Result<Run, NotStarted> {
    let run = history::begun("purge", &app.replica, trigger, app.clock.now());
    app.maintenance.reserve(&run)?;
    if let Err(error) = history::record(app.db.writer(), run.clone()).await {
        *app.maintenance.current() = None;
        return Err(NotStarted::Failed(error.into()));
    }
    Ok(run)
}

/// Purges, records how it went, and gives the place free: whatever happens, the next run can begin.
async fn carry_out(app: &App, mut run: Run, force: bool, progress: impl Progress) -> Run {
    purge::purge(app, &mut run, &app.maintenance.stop, force, progress).await;
    run.finished_at = Some(app.clock.now());
    if let Err(error) = history::update(app.db.writer(), run.clone()).await {
        tracing::error!(run_id = %run.id, error = %crate::error::Storage::from(error), "a purge's end was not recorded");
    }
    *app.maintenance.current() = None;
    crate::telemetry::purge_finished(&run);
    run
}
