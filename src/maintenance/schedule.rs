//! When the purge runs. The only file that knows tokio-cron-scheduler, and it decides nothing.
//!
//! The scheduler polls the wall clock, lets runs overlap, makes up for nothing it missed, and waits for nobody when it
//! stops. So: cron jobs in UTC only (its other kinds stop for ever after a pause), the place for one run is taken in
//! [`super`], there is a run at start, and [`super::Maintenance::stop`] does the waiting.

use std::sync::Arc;

use croner::{
    Cron,
    parser::{CronParser, Seconds},
};
use entity::{Timestamp, maintenance_run::Trigger};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use super::{NotStarted, run};
use crate::app::App;

/// A cron expression in UTC: second, minute, hour, day of month, month, day of week.
#[derive(Clone, Debug)]
pub struct Schedule {
    text: String,
    cron: Cron,
}

/// A text that is no schedule.
#[derive(Debug, thiserror::Error)]
#[error(
    "maintenance.purge_schedule = {text:?} is not a schedule: {reason}; \"0 */5 * * * *\" would be every 5 minutes"
)]
pub struct BadSchedule {
    text: String,
    reason: String,
}

impl Schedule {
    /// Reads a cron expression of six fields, or of five (without seconds).
    pub fn parse(text: &str) -> Result<Self, BadSchedule> {
        let bad = |reason: &str| BadSchedule { text: text.to_owned(), reason: reason.to_owned() };
        let fields = text.split_whitespace().count();
        let six = if fields == 5 { format!("0 {text}") } else { text.to_owned() };
        let parser = CronParser::builder().seconds(Seconds::Required).dom_and_dow(true).build();
        let cron = parser.parse(&six).map_err(|error| bad(&error.to_string()))?;
        // An impossible date such as 31 February parses, and would never run without a word.
        let from = Timestamp::from_millis(0).to_chrono().unwrap_or_default();
        cron.find_next_occurrence(&from, false).map_err(|_| bad("it never comes"))?;
        Ok(Self { text: six, cron })
    }

    /// The expression, with six fields.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first time it comes after `now`.
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        // croner keeps the fraction of the second it starts from.
        let whole = Timestamp::from_millis(now.millis() - now.millis().rem_euclid(1000));
        self.cron.find_next_occurrence(&whole.to_chrono()?, false).ok().map(Timestamp::from)
    }
}

/// Purges once now and then on schedule, until the returned scheduler is shut down.
pub async fn start(app: &Arc<App>) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    let shared = Arc::clone(app);
    let job = Job::new_async(app.maintenance.schedule.as_str(), move |_, _| {
        let app = Arc::clone(&shared);
        Box::pin(async move { tick(app, Trigger::Schedule).await })
    })?;
    scheduler.add(job).await?;
    scheduler.start().await?;
    tokio::spawn(tick(Arc::clone(app), Trigger::Start));
    Ok(scheduler)
}

/// One tick, tracked so that stopping waits for it; one that meets a run still under way is not needed.
async fn tick(app: Arc<App>, trigger: Trigger) {
    let tracked = app.maintenance.tasks.clone();
    tracked
        .track_future(async {
            match run(&app, trigger, false, ()).await {
                Ok(_) => {}
                Err(NotStarted::Running(running)) => {
                    tracing::info!(run_id = %running.id, "the last purge is still running; this one is left out");
                }
                Err(NotStarted::Failed(error)) => tracing::error!(%error, "a purge could not begin"),
            }
        })
        .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_five_fields_and_six() {
        assert_eq!(Schedule::parse("*/5 * * * *").unwrap().as_str(), "0 */5 * * * *");
        let every_five = Schedule::parse("0 */5 * * * *").unwrap();
        let next = every_five.next_after("2026-11-24T09:03:10.387Z".parse().unwrap());
        assert_eq!(next, Some("2026-11-24T09:05:00Z".parse().unwrap()));
    }

    #[test]
    fn says_what_is_wrong() {
        for bad in ["", "tomorrow", "61 * * * * *", "0 0 0 31 2 *"] {
            let error = Schedule::parse(bad).unwrap_err().to_string();
            assert!(error.contains("maintenance.purge_schedule") && error.contains("every 5 minutes"), "{error}");
        }
    }
}
