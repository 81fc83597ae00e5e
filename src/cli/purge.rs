//! `daypass purge`: delete what is stale, now.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use clap::Args;
use entity::maintenance_run::{Model as Run, Outcome, Trigger};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use super::{Common, Failure, print, stop_signal};
use crate::{
    api::v1::maintenance::{MaintenanceRun, PurgePreview},
    maintenance::{
        self, Manner,
        estimate::Count,
        job::Job,
        preview::{self, Preview},
        state::NotStarted,
        task::Progress,
    },
};

#[derive(Debug, Args)]
pub(super) struct Purge {
    /// Only tell what would be deleted
    #[arg(long)]
    dry_run: bool,
    /// Purge even where the service would refuse to, such as after the clock has jumped
    #[arg(long)]
    force: bool,
}

impl Purge {
    pub(super) async fn run(self, common: &Common) -> Result<(), Failure> {
        let app = common.open().await?;
        if self.dry_run {
            show_preview(common, preview::preview(&app, app.clock.now()).await?);
            return Ok(());
        }
        let expected = preview::backlog(&app, app.clock.now()).await?;
        let (stop, stopped) = (stop_signal()?, app.maintenance.stop.clone());
        tokio::spawn(async move {
            stop.await;
            stopped.cancel();
        });
        let manner = Manner { force: self.force, unhurried: true, ..Manner::default() };
        let run = match maintenance::run(&app, Job::Purge, Trigger::Cli, manner, &mut *progress(common, expected)).await
        {
            Ok(run) => run,
            Err(NotStarted::Failed(error)) => return Err(error.into()),
            Err(running @ (NotStarted::Running(_) | NotStarted::Served)) => {
                return Err(Failure::Other(running.to_string()));
            }
        };
        app.db.close().await;
        let failed = failure(&run);
        show_run(common, run);
        failed.map_or(Ok(()), |why| Err(Failure::Other(why)))
    }
}

fn failure(run: &Run) -> Option<String> {
    match run.outcome {
        Some(Outcome::Done) => None,
        // It has no budget.
        Some(Outcome::Cancelled | Outcome::Budget) => Some("the purge was stopped before it was done".to_owned()),
        Some(Outcome::LostLease) => Some("another process took the purge over".to_owned()),
        Some(Outcome::Clock | Outcome::Failed) | None => {
            Some(format!("the purge did not do its work: {}", run.error.as_deref().unwrap_or_default()))
        }
    }
}

/// A bar on a terminal; elsewhere, such as in a log, a line now and then.
fn progress(common: &Common, expected: Count) -> Box<dyn Progress> {
    if common.json {
        return Box::new(());
    }
    if !std::io::stderr().is_terminal() {
        return Box::new(Lines { expected, began: Instant::now(), told: Instant::now() });
    }
    let template = "{bar:40} {human_pos}/{human_len} tokens  {per_sec}  {eta} left";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    Box::new(Bar(ProgressBar::new(expected.rows).with_style(style)))
}

fn tokens(run: &Run) -> u64 {
    (run.deleted_expired + run.deleted_revoked).unsigned_abs()
}

struct Bar(ProgressBar);

impl Progress for Bar {
    fn batch(&mut self, run: &Run) {
        let deleted = tokens(run);
        // What was expected may have been an estimate, and more may have come since.
        self.0.set_length(self.0.length().unwrap_or(0).max(deleted));
        self.0.set_position(deleted);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

struct Lines {
    expected: Count,
    began: Instant,
    told: Instant,
}

impl Progress for Lines {
    fn batch(&mut self, run: &Run) {
        if self.told.elapsed() < Duration::from_secs(5) {
            return;
        }
        self.told = Instant::now();
        let (deleted, seconds) = (tokens(run), self.began.elapsed().as_secs().max(1));
        let rate = deleted / seconds;
        let left = self.expected.rows.saturating_sub(deleted) / rate.max(1);
        print::note(format_args!("purged {deleted} of {} tokens, {rate}/s, {left} s left", about(self.expected)));
    }
}

fn about(count: Count) -> String {
    let number = HumanCount(count.rows);
    if count.estimated { format!("about {number}") } else { number.to_string() }
}

fn show_preview(common: &Common, preview: Preview) {
    if common.json {
        print::json(&PurgePreview::from(preview));
        return;
    }
    let (expired, revoked) = (about(preview.expired), about(preview.revoked));
    print::line(format_args!("would delete {expired} expired and {revoked} revoked tokens"));
    if let Some(oldest) = preview.oldest {
        print::line(format_args!("the oldest of them ended {oldest}"));
    }
    let [hour, day, week] = [preview.within_1h, preview.within_24h, preview.within_7d].map(about);
    print::line(format_args!("more become purgeable: {hour} within 1 h, {day} within 24 h, {week} within 7 d"));
}

fn show_run(common: &Common, run: Run) {
    if common.json {
        print::json(&MaintenanceRun::from(run));
        return;
    }
    let took = run.finished_at.map_or(0, |end| end.millis_since(run.started_at));
    print::line(format_args!(
        "deleted {} expired and {} revoked tokens in {} batches, {took} ms (slowest batch {} ms)",
        run.deleted_expired, run.deleted_revoked, run.batches, run.slowest_batch_ms
    ));
}
