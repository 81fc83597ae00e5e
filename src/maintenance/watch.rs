//! Sees to it that nothing is missed for long: times of a schedule that nobody served (the process was held up, the clock was
//! set), and runs whose process has died. It tells the metrics what it sees, too.

use std::{sync::Arc, time::Duration};

use entity::{Timestamp, maintenance_run::Trigger};
use sea_orm::DbErr;

use super::{
    health,
    job::{JITTER, Job},
    lease, serve,
};
use crate::{app::App, error::Storage, telemetry};

/// How often it looks.
pub const EVERY: Duration = Duration::from_secs(2);

/// How late a time of a schedule is when it counts as missed: later than any replica serves it.
const MISSED_AFTER: Duration = Duration::from_secs(JITTER.as_secs() + 2 * EVERY.as_secs());

/// Looks until it is time to stop. What is due is done beside it, so that one long run hides nothing else.
pub(super) async fn watch(app: Arc<App>) {
    while app.maintenance.pause(EVERY).await {
        match look(&app).await {
            Ok(due) => {
                for (job, tick) in due {
                    let shared = Arc::clone(&app);
                    app.maintenance
                        .tasks
                        .spawn(async move { serve(&shared, job, Trigger::Schedule, Some(tick)).await });
                }
            }
            Err(error) => tracing::debug!(error = %Storage::from(error), "maintenance could not be looked at"),
        }
    }
}

/// The jobs that somebody should run now, each with the time of its schedule.
pub async fn look(app: &App) -> Result<Vec<(Job, Timestamp)>, DbErr> {
    let now = app.clock.now();
    let all = health::all(app, now).await?;
    telemetry::health(&all, now);
    let under_way = all.iter().any(|health| health.holder().is_some());
    let database = if under_way { Some(app.db.now().await?) } else { None };
    let due = all.iter().filter_map(|health| {
        let (row, scheduled) = (health.row.as_ref(), &health.scheduled);
        let dead = row.zip(database).is_some_and(|(row, database)| lease::is_abandoned(row, database));
        if dead {
            return Some((scheduled.job, scheduled.schedule.last_until(now)?));
        }
        // Not the last time of all: where those come thick and fast it is always a fresh one.
        let tick = scheduled.schedule.last_until(now.minus(MISSED_AFTER + Duration::from_millis(1)))?;
        let served = row.is_some_and(|row| row.run_id.is_some() || lease::served_at(row, now) >= tick);
        let missed = !served && tick > app.maintenance.since;
        if missed {
            tracing::warn!(job = scheduled.job.name(), %tick, "a time of its schedule was missed, and is made up for");
        }
        missed.then_some((scheduled.job, tick))
    });
    Ok(due.collect())
}
