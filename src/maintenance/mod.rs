//! Housekeeping: deleting what is stale, on a schedule or when asked, and a record of what was done.
//!
//! - [`mod@stale`] says which tokens are to go, `leftovers` what besides; [`mod@purge`] is the step, a plain function
//!   that deletes them in short transactions;
//! - [`mod@scheduler`] is the loop around it; when that goes round is a setting, [`mod@schedule`];
//! - [`mod@state`] is the one place for a run in this process;
//! - [`mod@history`] and [`mod@preview`] tell what was done and what would be.
//!
//! Validity never rests on any of this: an expired token is refused whether or not its row is still there.

pub mod history;
mod leftovers;
pub mod preview;
pub mod purge;
pub mod scheduler;
pub mod stale;
pub mod state;

use std::sync::Arc;

use entity::maintenance_run::{Model as Run, Trigger};

pub use crate::config::schedule;
use crate::{
    app::App,
    error::{Error, Storage},
    telemetry,
};
use purge::Progress;
use state::{NotStarted, Place};

/// Purges now and waits for the end of it; `progress` is told after each batch. `force` purges by a clock that jumped.
pub async fn run(app: &App, trigger: Trigger, force: bool, progress: impl Progress) -> Result<Run, NotStarted> {
    let (run, place) = begin(app, trigger).await?;
    Ok(carry_out(app, run, place, force, progress).await)
}

/// Starts a purge and returns its record at once; it goes on by itself, and [`state::Maintenance::stop`] waits for it.
pub async fn start(app: &Arc<App>, trigger: Trigger) -> Result<Run, NotStarted> {
    let (run, place) = begin(app, trigger).await?;
    let (shared, begun) = (Arc::clone(app), run.clone());
    app.maintenance.tasks.spawn(async move { carry_out(&shared, begun, place, false, ()).await });
    Ok(run)
}

/// Whoever asked may go away while this waits: then the place is free again.
async fn begin(app: &App, trigger: Trigger) -> Result<(Run, Place), NotStarted> {
    let run = history::begun("purge", &app.replica, trigger, app.clock.now());
    let place = app.maintenance.reserve(&run)?;
    history::record(app.db.writer(), run.clone()).await.map_err(Error::from)?;
    Ok((run, place))
}

/// Purges, and records how it went.
async fn carry_out(app: &App, mut run: Run, place: Place, force: bool, progress: impl Progress) -> Run {
    purge::purge(app, &mut run, &app.maintenance.stop, force, progress).await;
    run.finished_at = Some(app.clock.now());
    if let Err(error) = history::update(app.db.writer(), run.clone()).await {
        tracing::error!(run_id = %run.id, error = %Storage::from(error), "a purge's end was not recorded");
    }
    drop(place);
    telemetry::purge_finished(&run);
    run
}
