//! Housekeeping: deleting what is stale, on a schedule or when asked, and a record of what was done.
//!
//! - [`mod@stale`] says what is to go; [`mod@purge`] is the step, a plain function that deletes it in short transactions;
//! - [`mod@scheduler`] is the loop around it, [`mod@schedule`] when that goes round;
//! - [`mod@state`] is the one place for a run in this process;
//! - [`mod@history`] and [`mod@preview`] tell what was done and what would be.
//!
//! Validity never rests on any of this: an expired token is refused whether or not its row is still there.

pub mod history;
pub mod preview;
pub mod purge;
pub mod schedule;
pub mod scheduler;
pub mod stale;
pub mod state;

use std::sync::Arc;

use entity::maintenance_run::{Model as Run, Trigger};

use crate::app::App;
use purge::Progress;
use state::NotStarted;

/// Purges now and waits for the end of it; `progress` is told after each batch. `force` purges by a clock that jumped.
pub async fn run(app: &App, trigger: Trigger, force: bool, progress: impl Progress) -> Result<Run, NotStarted> {
    let run = begin(app, trigger).await?;
    Ok(carry_out(app, run, force, progress).await)
}

/// Starts a purge and returns its record at once; the purge goes on by itself, and [`state::Maintenance::stop`] waits for it.
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
        app.maintenance.release();
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
    app.maintenance.release();
    crate::telemetry::purge_finished(&run);
    run
}
