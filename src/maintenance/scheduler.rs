//! The loop around the jobs. The only file that knows tokio-cron-scheduler, and it decides nothing.
//!
//! The scheduler polls the wall clock, lets runs overlap, makes up for nothing it missed, and waits for nobody when it
//! stops. So: cron jobs in UTC only (its other kinds stop for ever after a pause), a lease sees to it that runs do not overlap and
//! each time of a schedule is served once by all replicas together, there is a run at start, [`super::watch`] finds what was
//! missed or left by the dead, and [`super::state::Maintenance::stop`] does the waiting.

use std::{sync::Arc, time::Duration};

use entity::{Timestamp, maintenance_run::Trigger};
use tokio_cron_scheduler::{Job as CronJob, JobScheduler, JobSchedulerError};

use super::{
    job::{JITTER, Job, Scheduled},
    serve, watch,
};
use crate::{app::App, jitter::random_part};

/// The run at start waits so long at most: replicas are often started together.
const START_WITHIN: Duration = Duration::from_secs(3);

/// [`JITTER`] is no more than this part of what lies between two times of the schedule.
const JITTER_OF_PERIOD: u32 = 20;

/// What runs the jobs.
pub type Scheduler = JobScheduler;

/// Runs the jobs once now and then on schedule, until the returned scheduler is shut down.
pub async fn start(app: &Arc<App>) -> Result<Scheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    for job in app.maintenance.jobs.clone() {
        let shared = Arc::clone(app);
        let cron = job.schedule.as_str().to_owned();
        let tick = CronJob::new_async(cron.as_str(), move |_, _| {
            let (app, job) = (Arc::clone(&shared), job.clone());
            // Tracked from the start, so that stopping waits for it.
            Box::pin(async move { drop(app.maintenance.tasks.spawn(on_schedule(Arc::clone(&app), job))) })
        })?;
        scheduler.add(tick).await?;
    }
    scheduler.start().await?;
    for scheduled in &app.maintenance.jobs {
        app.maintenance.tasks.spawn(at_start(Arc::clone(app), scheduled.job));
    }
    app.maintenance.tasks.spawn(watch::watch(Arc::clone(app)));
    Ok(scheduler)
}

async fn at_start(app: Arc<App>, job: Job) {
    if app.maintenance.pause(random_part(START_WITHIN)).await {
        serve(&app, job, Trigger::Start, None).await;
    }
}

async fn on_schedule(app: Arc<App>, scheduled: Scheduled) {
    let now = app.clock.now();
    let Some(tick) = scheduled.schedule.last_until(now) else { return };
    if app.maintenance.pause(jitter(&scheduled, tick)).await {
        serve(&app, scheduled.job, Trigger::Schedule, Some(tick)).await;
    }
}

fn jitter(scheduled: &Scheduled, tick: Timestamp) -> Duration {
    let period = scheduled.schedule.next_after(tick).map_or(0, |next| next.millis_since(tick));
    random_part(JITTER.min(Duration::from_millis(period.unsigned_abs()) / JITTER_OF_PERIOD))
}
