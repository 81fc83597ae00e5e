//! The purge: deletes tokens that are stale, in short transactions, oldest first.
//!
//! What is stale stands in [`super::stale`], and in every DELETE; what goes besides tokens, in `leftovers.rs`.

use std::time::{Duration, Instant};

use entity::{
    maintenance_run::{Model as Run, Outcome},
    token,
};
use sea_orm::{ConnectionTrait, DbErr};
use tokio_util::sync::CancellationToken;

use super::{history, leftovers, stale::Reason};
use crate::{app::App, clock::TOLERATED_SKEW, db::dialect, error::Storage};

/// Is told of a run after each batch.
pub trait Progress: Send {
    /// One more batch is done.
    fn batch(&mut self, run: &Run);
}

impl Progress for () {
    fn batch(&mut self, _run: &Run) {}
}

/// Deletes until nothing stale is left, the time is up, or `stop` says so; notes in `run` what it did and how it ended.
///
/// It refuses where the clock has jumped, unless forced: by a wrong clock, live tokens look stale.
pub async fn purge(app: &App, run: &mut Run, stop: &CancellationToken, force: bool, mut progress: impl Progress) {
    let result = match jump(app, run).await {
        Ok(Some(jump)) if !force => {
            run.error = Some(jump);
            Ok(Outcome::Clock)
        }
        Ok(_) => drain(app, run, stop, &mut progress).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(outcome) => run.outcome = Some(outcome),
        Err(error) => {
            run.outcome = Some(Outcome::Failed);
            run.error = Some(Storage::from(error).to_string());
        }
    }
}

/// How this machine's clock disagrees with the database's, or with the last run that worked; none if it does not.
async fn jump(app: &App, run: &Run) -> Result<Option<String>, DbErr> {
    let now = app.clock.now();
    let skew = app.clock.skew(app.db.now().await?);
    if skew.abs() > TOLERATED_SKEW {
        return Ok(Some(format!("the clock is {skew} ms ahead of the database's; --force purges all the same")));
    }
    let baseline = history::baseline(app.db.reader(), &run.job).await?;
    let back = baseline.map_or(0, |baseline| baseline.started_at.millis_since(now));
    let text = format!(
        "the clock is {back} ms behind the last run's; if it is right now, --force purges all the same, and later runs \
         are compared with that one"
    );
    Ok((back > TOLERATED_SKEW).then_some(text))
}

/// Deletes what is stale, and then what is left over: that too when the time is up, or a drain that never ends would
/// leave it for ever.
async fn drain(
    app: &App,
    run: &mut Run,
    stop: &CancellationToken,
    progress: &mut impl Progress,
) -> Result<Outcome, DbErr> {
    let deadline = Deadline { began: Instant::now(), after: app.config.maintenance.max_run, stop };
    let tokens = drain_tokens(app, run, &deadline, progress).await?;
    run.backlog = match tokens {
        Outcome::Done => Some(0),
        Outcome::Budget => Some(super::preview::backlog(app, app.clock.now()).await?),
        Outcome::Cancelled | Outcome::Clock | Outcome::Failed => return Ok(tokens),
    };
    let rest = leftovers::sweep(app, &deadline).await?;
    Ok(if tokens == Outcome::Done { rest } else { tokens })
}

async fn drain_tokens(
    app: &App,
    run: &mut Run,
    deadline: &Deadline<'_>,
    progress: &mut impl Progress,
) -> Result<Outcome, DbErr> {
    for reason in Reason::ALL {
        loop {
            if let Some(outcome) = deadline.reached() {
                return Ok(outcome);
            }
            let deleted = batch(app, run, reason).await?;
            progress.batch(run);
            if deleted < app.config.maintenance.batch_size {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    Ok(Outcome::Done)
}

/// When to stop: looked at between two batches.
pub(super) struct Deadline<'a> {
    began: Instant,
    after: Duration,
    stop: &'a CancellationToken,
}

impl Deadline<'_> {
    /// How the run ends if it has to end here.
    pub(super) fn reached(&self) -> Option<Outcome> {
        if self.is_stopped() {
            return Some(Outcome::Cancelled);
        }
        (self.began.elapsed() >= self.after).then_some(Outcome::Budget)
    }

    /// Whether it was asked to stop, which is never put off.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }
}

/// One transaction's worth; the time is read anew for each, for a drain may be long.
async fn batch(app: &App, run: &mut Run, reason: Reason) -> Result<u64, DbErr> {
    let stale = reason.stale(app, app.clock.now());
    let size = app.config.maintenance.batch_size;
    let delete = dialect::delete_some(app.db.engine(), token::Column::Id, stale, reason.column(), size);
    let began = Instant::now();
    let deleted = app.db.writer().execute(&delete).await?.rows_affected();
    let took = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
    let count = i64::try_from(deleted).unwrap_or(i64::MAX);
    match reason {
        Reason::Expired => run.deleted_expired += count,
        Reason::Revoked => run.deleted_revoked += count,
    }
    run.batches += 1;
    run.slowest_batch_ms = Ord::max(run.slowest_batch_ms, took);
    Ok(deleted)
}
