//! How each job is doing, by what all replicas know of it.

use entity::{
    Timestamp, maintenance_job as row,
    maintenance_run::{Model as Run, Outcome},
};
use sea_orm::DbErr;

use super::{
    history,
    job::{Job, Scheduled},
    lease, sanity,
};
use crate::app::App;

/// How a job is doing.
#[derive(Clone, Debug)]
pub struct Health {
    /// The job, and when it runs.
    pub scheduled: Scheduled,
    /// What replicas agree on about it; none before its first run.
    pub row: Option<row::Model>,
    /// The newest of its runs that ended.
    pub last: Option<Run>,
    /// What ails it, in words for an operator.
    pub ailment: Option<String>,
}

impl Health {
    /// Which process runs it now.
    pub fn holder(&self) -> Option<&str> {
        let running = self.row.as_ref().filter(|row| row.run_id.is_some());
        running.map(|row| row.holder.as_str())
    }

    /// When a run last got everything done.
    pub fn succeeded_at(&self) -> Option<Timestamp> {
        self.row.as_ref().and_then(|row| row.succeeded_at)
    }
}

/// All jobs.
pub async fn all(app: &App, now: Timestamp) -> Result<Vec<Health>, DbErr> {
    let rows = lease::all(&app.db).await?;
    let runs = history::of(app.db.reader(), rows.iter().filter_map(|row| row.last_run_id)).await?;
    let accepted = rows.iter().find(|row| row.name == Job::Purge.name()).and_then(|row| row.accepted_at);
    let back = sanity::behind(accepted, now);
    let jobs = app.maintenance.jobs.iter().map(|scheduled| {
        let row = rows.iter().find(|row| row.name == scheduled.job.name()).cloned();
        let last = row.as_ref().and_then(|row| runs.iter().find(|run| Some(run.id) == row.last_run_id)).cloned();
        let mut health = Health { scheduled: scheduled.clone(), row, last, ailment: None };
        health.ailment = back.clone().or_else(|| ailment(&health, app.maintenance.since, now));
        health
    });
    Ok(jobs.collect())
}

/// Success is missed from when this process began at the earliest: before, perhaps nobody was there.
fn ailment(health: &Health, since: Timestamp, now: Timestamp) -> Option<String> {
    let name = health.scheduled.job.name();
    if let Some(failed) =
        health.last.as_ref().filter(|run| matches!(run.outcome, Some(Outcome::Failed | Outcome::Clock)))
    {
        return Some(format!("the last {name} did not do its work: {}", failed.error.as_deref().unwrap_or_default()));
    }
    let succeeded = health.succeeded_at();
    let late = health.scheduled.is_late(succeeded.map_or(since, |at| at.max(since)), now);
    late.then(|| match succeeded {
        Some(at) => format!("{name} has not got everything done since {at}"),
        None => format!("{name} has never got everything done"),
    })
}
