//! The loop around the jobs. The only file that knows tokio-cron-scheduler, and it decides nothing.
//!
//! The scheduler polls the wall clock, lets runs overlap, makes up for nothing it missed, and waits for nobody when it
//! stops. So: cron jobs in UTC only (its other kinds stop for ever after a pause), a lease sees to it that runs do not overlap and
//! each time of a schedule is served once by all replicas together, there is a run at start, `watch` finds what was missed or
//! left by the dead, and [`super::state::Maintenance::stop`] does the waiting.

use std::{sync::Arc, time::Duration};

use entity::{Timestamp, maintenance_run::Trigger};
use sea_orm::DbErr;
use tokio_cron_scheduler::{Job as CronJob, JobScheduler, JobSchedulerError};

use super::{
    Manner, health,
    job::{Job, Scheduled},
    lease, run_until_done,
    state::NotStarted,
};
use crate::{app::App, error::Storage, telemetry};

/// How often what was missed, or left by the dead, is looked for.
pub const LOOKS_EVERY: Duration = Duration::from_secs(2);

/// The run at start waits so long at most: replicas are often started together.
const START_WITHIN: Duration = Duration::from_secs(3);

/// A time of a schedule is served so late at most, of what lies between two of them, and no later than [`JITTER`]: replicas
/// would all ask at once, and jobs of several services on one machine begin together.
const JITTER_OF_PERIOD: i64 = 20;
const JITTER: i64 = 10_000;

/// Runs the jobs once now and then on schedule, until the returned scheduler is shut down.
pub async fn start(app: &Arc<App>) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    for job in app.maintenance.jobs.clone() {
        let shared = Arc::clone(app);
        let cron = job.schedule.as_str().to_owned();
        let tick = CronJob::new_async(cron.as_str(), move |_, _| {
            let (app, job) = (Arc::clone(&shared), job.clone());
            Box::pin(async move { spawn(&app, on_schedule(Arc::clone(&app), job)) })
        })?;
        scheduler.add(tick).await?;
    }
    scheduler.start().await?;
    spawn(app, at_start(Arc::clone(app)));
    spawn(app, watch(Arc::clone(app)));
    Ok(scheduler)
}

/// Tracked from the start, so that stopping waits for it.
fn spawn(app: &Arc<App>, work: impl Future<Output = ()> + Send + 'static) {
    app.maintenance.tasks.spawn(work);
}

async fn at_start(app: Arc<App>) {
    if !app.maintenance.pause(random_part(START_WITHIN)).await {
        return;
    }
    for scheduled in &app.maintenance.jobs {
        serve(&app, scheduled.job, Trigger::Start, None).await;
    }
}

async fn on_schedule(app: Arc<App>, scheduled: Scheduled) {
    let now = app.clock.now();
    let Some(tick) = scheduled.schedule.last_until(now) else { return };
    if app.maintenance.pause(jitter(&scheduled, tick)).await {
        serve(&app, scheduled.job, Trigger::Schedule, Some(tick)).await;
    }
}

/// One time of a schedule: for whoever of the replicas comes first.
async fn serve(app: &App, job: Job, trigger: Trigger, tick: Option<Timestamp>) {
    match run_until_done(app, job, trigger, Manner { tick, ..Manner::default() }).await {
        Ok(_) | Err(NotStarted::Served) => {}
        Err(running @ NotStarted::Running(_)) => tracing::debug!(job = job.name(), "left out: {running}"),
        Err(NotStarted::Failed(error)) => tracing::error!(job = job.name(), %error, "a run could not begin"),
    }
}

/// Sees to it that nothing is missed for long: times that the scheduler did not fire at (the process was held up, the clock was
/// set), and runs whose process has died. It tells the metrics what it sees, too.
async fn watch(app: Arc<App>) {
    while app.maintenance.pause(LOOKS_EVERY).await {
        match look(&app).await {
            Ok(due) => {
                for (job, tick) in due {
                    serve(&app, job, Trigger::Schedule, Some(tick)).await;
                }
            }
            Err(error) => tracing::debug!(error = %Storage::from(error), "maintenance could not be looked at"),
        }
    }
}

/// The jobs that somebody should run now, each with the time of its schedule.
async fn look(app: &App) -> Result<Vec<(Job, Timestamp)>, DbErr> {
    let now = app.clock.now();
    let all = health::all(app, now).await?;
    telemetry::health(&all, now);
    let database = if all.iter().any(|health| health.holder().is_some()) { Some(app.db.now().await?) } else { None };
    let due = all.iter().filter_map(|health| {
        let (row, scheduled) = (health.row.as_ref()?, &health.scheduled);
        let tick = scheduled.schedule.last_until(now)?;
        let dead = database.is_some_and(|database| lease::is_abandoned(row, database));
        let patience = Duration::from_millis(JITTER.unsigned_abs()) + 2 * LOOKS_EVERY;
        let missed = row.run_id.is_none() && row.served_at < tick && tick < now.minus(patience);
        if missed && tick > app.maintenance.since {
            tracing::warn!(job = scheduled.job.name(), %tick, "a time of its schedule was missed, and is made up for");
        }
        (dead || missed && tick > app.maintenance.since).then_some((scheduled.job, tick))
    });
    Ok(due.collect())
}

fn jitter(scheduled: &Scheduled, tick: Timestamp) -> Duration {
    let period = scheduled.schedule.next_after(tick).map_or(0, |next| next.millis_since(tick));
    random_part(Duration::from_millis((period / JITTER_OF_PERIOD).clamp(0, JITTER).unsigned_abs()))
}

/// Somewhere between nothing and all of it. Where the system has no random bytes, all of it.
fn random_part(whole: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX);
    whole.mul_f64(f64::from(random) / f64::from(u32::MAX))
}
