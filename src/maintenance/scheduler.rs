//! The loop around the purge. The only file that knows tokio-cron-scheduler, and it decides nothing.
//!
//! The scheduler polls the wall clock, lets runs overlap, makes up for nothing it missed, and waits for nobody when it
//! stops. So: cron jobs in UTC only (its other kinds stop for ever after a pause), the place for one run is taken in
//! [`super::state`], there is a run at start, and [`super::state::Maintenance::stop`] does the waiting.

use std::sync::Arc;

use entity::maintenance_run::Trigger;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use super::{run, state::NotStarted};
use crate::app::App;

/// Purges once now and then on schedule, until the returned scheduler is shut down.
pub async fn start(app: &Arc<App>) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    let shared = Arc::clone(app);
    let job = Job::new_async(app.maintenance.schedule.as_str(), move |_, _| {
        let app = Arc::clone(&shared);
        Box::pin(async move { tick(&app, Trigger::Schedule) })
    })?;
    scheduler.add(job).await?;
    scheduler.start().await?;
    tick(app, Trigger::Start);
    Ok(scheduler)
}

/// One tick, tracked from the start so that stopping waits for it; one that meets a run still under way is not needed.
fn tick(app: &Arc<App>, trigger: Trigger) {
    let shared = Arc::clone(app);
    app.maintenance.tasks.spawn(async move {
        match run(&shared, trigger, false, ()).await {
            Ok(_) => {}
            Err(NotStarted::Running(running)) => {
                tracing::info!(run_id = %running.id, "the last purge is still running; this one is left out");
            }
            Err(NotStarted::Failed(error)) => tracing::error!(%error, "a purge could not begin"),
        }
    });
}
