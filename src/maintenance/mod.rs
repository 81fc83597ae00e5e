//! Housekeeping: deleting what is stale and the like, on schedules or when asked, and a record of what was done.
//!
//! - [`mod@job`] lists the jobs; [`mod@purge`] is the one that deletes tokens, of which [`mod@stale`] says which are to go; on
//!   `SQLite`, [`mod@ranges`] where it begins, [`mod@hours`] by what index, and `owners` what they leave behind; `leftovers` and
//!   `sqlite` are the others;
//! - `task` is a run under way: short transactions, and what may stop it between them; [`mod@lease`] sees to it that there is
//!   one at a time, wherever it runs; [`mod@sanity`] that it works by no clock that jumped;
//! - [`mod@scheduler`] is the loop around it; when that goes round is a setting, [`mod@schedule`]; [`mod@watch`] finds what
//!   was missed;
//! - [`mod@state`] is what this process knows; [`mod@health`], [`mod@history`] and [`mod@preview`], which rests on
//!   [`mod@estimate`], tell how it goes, what was done, and what would be.
//!
//! Validity never rests on any of this: an expired token is refused whether or not its row is still there.

pub mod estimate;
pub mod health;
pub mod history;
pub mod hours;
pub mod job;
pub mod lease;
mod leftovers;
mod owners;
pub mod preview;
pub mod purge;
pub mod ranges;
pub mod sanity;
pub mod scheduler;
mod sqlite;
pub mod stale;
pub mod state;
pub mod task;
pub mod watch;

use std::sync::Arc;

use entity::{
    Timestamp,
    audit_event::{self, Event},
    maintenance_run::{Model as Run, Outcome, Trigger},
};
use sea_orm::DbErr;

pub use crate::config::schedule;
use crate::{
    app::App,
    audit::{self, Actor, Done},
    error::{Error, Storage},
    telemetry,
};
use job::Job;
use lease::{Lease, Taken};
use state::NotStarted;
use task::{Halt, Progress, Task};

/// How a run differs from the usual one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner {
    /// The time of the schedule that it serves, if it does: once, whoever comes first.
    pub tick: Option<Timestamp>,
    /// Works by a clock that jumped.
    pub force: bool,
    /// Takes as long as it takes.
    pub unhurried: bool,
}

/// Does a job now and waits for the end of it; `progress` is told after each batch.
pub async fn run(
    app: &App,
    job: Job,
    trigger: Trigger,
    manner: Manner,
    progress: &mut dyn Progress,
) -> Result<Run, NotStarted> {
    let by = (trigger == Trigger::Cli).then(Actor::cli);
    let (run, lease) = begin(app, job, trigger, manner.tick, by.as_ref()).await?;
    Ok(carry_out(app, job, run, lease, manner, progress).await)
}

/// Serves a job's start, or one time of its schedule: for whoever of the replicas comes first.
async fn serve(app: &App, job: Job, trigger: Trigger, tick: Option<Timestamp>) {
    match run_until_done(app, job, trigger, Manner { tick, ..Manner::default() }).await {
        Ok(_) | Err(NotStarted::Served) => {}
        Err(running @ NotStarted::Running(_)) => tracing::debug!(job = job.name(), "left out: {running}"),
        Err(NotStarted::Failed(error)) => tracing::error!(job = job.name(), %error, "a run could not begin"),
    }
}

/// Does a job until it is done, in as many runs as that takes.
async fn run_until_done(app: &App, job: Job, trigger: Trigger, manner: Manner) -> Result<Run, NotStarted> {
    let first = run(app, job, trigger, manner, &mut ()).await?;
    go_on(app, job, first, manner).await
}

/// Does the job again for as long as a run's time was up before its work was done: what is left does not wait for the schedule.
async fn go_on(app: &App, job: Job, mut run: Run, manner: Manner) -> Result<Run, NotStarted> {
    while run.outcome == Some(Outcome::Budget) && run.deleted() > 0 {
        run = self::run(app, job, run.trigger, Manner { tick: None, ..manner }, &mut ()).await?;
    }
    Ok(run)
}

/// Starts a job, which somebody wants, and returns the record of its run at once; it goes on by itself, and [`state::Maintenance::stop`] waits for it.
pub async fn start(app: &Arc<App>, job: Job, trigger: Trigger, by: &Actor) -> Result<Run, NotStarted> {
    let (run, lease) = begin(app, job, trigger, None, Some(by)).await?;
    let (shared, begun) = (Arc::clone(app), run.clone());
    app.maintenance.tasks.spawn(async move {
        let run = carry_out(&shared, job, begun, lease, Manner::default(), &mut ()).await;
        if let Err(error) = go_on(&shared, job, run, Manner::default()).await {
            tracing::warn!(job = job.name(), %error, "what is left waits for its schedule");
        }
    });
    Ok(run)
}

/// Takes the lease and records that the run begins. Whoever asked may go away while this waits: then the lease ends by itself.
async fn begin(
    app: &App,
    job: Job,
    trigger: Trigger,
    tick: Option<Timestamp>,
    by: Option<&Actor>,
) -> Result<(Run, Lease), NotStarted> {
    let mut run = history::begun(job, &app.replica, trigger, app.clock.now());
    let (lease, dead) = match lease::take(&app.db, job, &run, tick).await.map_err(Error::from)? {
        Taken::Held(lease, dead) => (lease, dead),
        Taken::Running(row) => return Err(NotStarted::Running(Box::new(row))),
        Taken::Served => return Err(NotStarted::Served),
    };
    // Not before the one before has ended.
    run.started_at = app.clock.now();
    if let Some(dead) = dead {
        tracing::warn!(job = job.name(), run_id = %dead, "a run was found dead, and is taken over");
    }
    app.db.insist(|| app.db.in_time(Box::pin(record(app, &run, by)))).await.map_err(Error::from)?;
    Ok((run, lease))
}

async fn record(app: &App, run: &Run, by: Option<&Actor>) -> Result<(), DbErr> {
    let txn = app.db.begin().await?;
    let dead = history::close(&txn, run, run.started_at).await?;
    history::record(&txn, run.clone()).await?;
    let mut events: Vec<_> = dead.iter().filter_map(|dead| purged(dead, run.started_at)).collect();
    if let Some(by) = by.filter(|_| run.job == Job::Purge.name()) {
        events.push(Done::new(Event::PurgeRequested).reason(of(run)).by(by, run.started_at));
    }
    audit::insert(&txn, &events).await?;
    txn.commit().await?;
    audit::log(&events);
    Ok(())
}

/// That a purge deleted rows, for the record: written when its own record is closed, by whoever closes it, so that both say
/// the same whenever the process dies.
fn purged(run: &Run, now: Timestamp) -> Option<audit_event::Model> {
    let deleted = run.job == Job::Purge.name() && run.deleted() > 0;
    deleted.then(|| Done::new(Event::Purged).reason(of(run)).times(run.deleted()).by(&Actor::system(), now))
}

fn of(run: &Run) -> String {
    format!("run {}", run.id)
}

/// Does the work, and records how it went.
async fn carry_out(
    app: &App,
    job: Job,
    mut run: Run,
    mut lease: Lease,
    manner: Manner,
    progress: &mut dyn Progress,
) -> Run {
    telemetry::lease(job.name(), true);
    match work(app, job, &mut run, &mut lease, manner, progress).await {
        Ok(()) => run.outcome = Some(Outcome::Done),
        Err(Halt::Ended(outcome)) => run.outcome = Some(outcome),
        Err(Halt::Failed(error)) => {
            run.outcome = Some(Outcome::Failed);
            run.error = Some(Storage::from(error).to_string());
        }
    }
    run.finished_at = Some(app.clock.now());
    if let Err(error) = app.db.insist(|| app.db.in_time(Box::pin(close(app, &run, &lease)))).await {
        tracing::error!(run_id = %run.id, error = %Storage::from(error), "the end of a run was not recorded");
    }
    telemetry::lease(job.name(), false);
    telemetry::run_finished(&run);
    run
}

async fn close(app: &App, run: &Run, lease: &Lease) -> Result<(), DbErr> {
    let txn = app.db.begin().await?;
    let events: Vec<_> =
        if history::finish(&txn, run).await? { purged(run, app.clock.now()).into_iter().collect() } else { Vec::new() };
    audit::insert(&txn, &events).await?;
    txn.commit().await?;
    audit::log(&events);
    lease.release(&app.db, run).await
}

/// What the job does, unless the clock has jumped.
async fn work(
    app: &App,
    job: Job,
    run: &mut Run,
    lease: &mut Lease,
    manner: Manner,
    progress: &mut dyn Progress,
) -> Result<(), Halt> {
    let believed = match sanity::believe(app, manner.force).await? {
        Ok(reading) => reading,
        Err(jump) => {
            run.error = Some(jump);
            return Err(Halt::Ended(Outcome::Clock));
        }
    };
    lease.believed = Some(believed.at);
    let budget = (!manner.unhurried).then_some(app.config.maintenance.max_run);
    let mut task = Task::new(app, run, lease, believed, budget, progress);
    let done = match job {
        Job::Purge => purge::purge(&mut task).await,
        Job::Changes => leftovers::changes(&mut task).await,
        Job::Counters => leftovers::counters(&mut task).await,
        Job::Rotations => leftovers::replaced(&mut task).await,
        Job::History => leftovers::history(&mut task).await,
        Job::Sqlite => sqlite::tidy(&mut task).await,
    };
    task.end().await;
    done
}
