//! `daypass purge`: delete what is stale, now.

use std::io::IsTerminal;

use clap::Args;
use entity::maintenance_run::{Model as Run, Outcome, Trigger};
use indicatif::{ProgressBar, ProgressStyle};

use super::{Common, Failure, print};
use crate::{
    api::v1::maintenance::{MaintenanceRun, PurgePreview},
    maintenance::{
        self,
        preview::{self, Preview},
        purge::Progress,
        state::NotStarted,
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
        let preview = preview::preview(&app, app.clock.now()).await?;
        if self.dry_run {
            show_preview(common, preview);
            return Ok(());
        }
        let run = match maintenance::run(&app, Trigger::Cli, self.force, bar(&preview)).await {
            Ok(run) => run,
            Err(NotStarted::Failed(error)) => return Err(error.into()),
            Err(running @ NotStarted::Running(_)) => return Err(Failure::Other(running.to_string())),
        };
        let failed = matches!(run.outcome, Some(Outcome::Failed | Outcome::Clock)).then(|| run.error.clone()).flatten();
        show_run(common, run);
        failed.map_or(Ok(()), |why| Err(Failure::Other(format!("the purge did not do its work: {why}"))))
    }
}

/// A bar that fills with each batch.
struct Bar(ProgressBar);

fn bar(preview: &Preview) -> Bar {
    if !std::io::stderr().is_terminal() {
        return Bar(ProgressBar::hidden());
    }
    let template = "{bar:40} {pos}/{len} rows  {per_sec}  {eta} left";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    Bar(ProgressBar::new(preview.expired + preview.revoked).with_style(style))
}

impl Progress for Bar {
    fn batch(&mut self, run: &Run) {
        self.0.set_position((run.deleted_expired + run.deleted_revoked).unsigned_abs());
    }
}

fn show_preview(common: &Common, preview: Preview) {
    if common.json {
        print::json(&PurgePreview::from(preview));
        return;
    }
    println!("would delete {} expired and {} revoked tokens", preview.expired, preview.revoked);
    if let Some(oldest) = preview.oldest {
        println!("the oldest of them ended {oldest}");
    }
    let Preview { within_1h, within_24h, within_7d, .. } = preview;
    println!("more become purgeable: {within_1h} within 1 h, {within_24h} within 24 h, {within_7d} within 7 d");
}

fn show_run(common: &Common, run: Run) {
    if common.json {
        print::json(&MaintenanceRun::from(run));
        return;
    }
    let took = run.finished_at.map_or(0, |end| end.millis_since(run.started_at));
    println!(
        "deleted {} expired and {} revoked tokens in {} batches, {took} ms (slowest batch {} ms)",
        run.deleted_expired, run.deleted_revoked, run.batches, run.slowest_batch_ms
    );
}
