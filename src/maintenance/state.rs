//! What maintenance is doing in this process: the one place there is for a run, and how it is stopped.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use entity::maintenance_run::Model as Run;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::schedule::Schedule;
use crate::error::Error;

/// What maintenance is doing in this process.
#[derive(Debug)]
pub struct Maintenance {
    /// When the purge runs.
    pub schedule: Schedule,
    current: Arc<Mutex<Option<Run>>>,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
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
    /// Nothing runs yet.
    pub fn new(schedule: Schedule) -> Self {
        Self { schedule, current: Arc::default(), tasks: TaskTracker::new(), stop: CancellationToken::new() }
    }

    /// Asks a run to stop after the batch in hand, and waits until it has.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Takes the one place there is for a run.
    pub(super) fn reserve(&self, run: &Run) -> Result<Place, NotStarted> {
        let mut current = lock(&self.current);
        if let Some(running) = current.as_ref() {
            return Err(NotStarted::Running(Box::new(running.clone())));
        }
        *current = Some(run.clone());
        Ok(Place(Arc::clone(&self.current)))
    }
}

/// The place that a run has; dropping it, however that comes about, gives it free.
#[derive(Debug)]
pub(super) struct Place(Arc<Mutex<Option<Run>>>);

impl Drop for Place {
    fn drop(&mut self) {
        *lock(&self.0) = None;
    }
}

fn lock(current: &Mutex<Option<Run>>) -> MutexGuard<'_, Option<Run>> {
    current.lock().unwrap_or_else(PoisonError::into_inner)
}
