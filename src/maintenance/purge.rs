//! The purge: deletes tokens that are stale, in short transactions, oldest first.
//!
//! What is stale stands in [`super::stale`], and in every DELETE.

use std::time::Instant;

use entity::{
    Timestamp, maintenance_run,
    maintenance_run::{Model as Run, Outcome},
    token, user,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter,
    sea_query::{Expr, ExprTrait, Query},
};
use tokio_util::sync::CancellationToken;

use super::{
    history,
    stale::{Reason, SETTLED},
};
use crate::{account::limits, app::App, clock::TOLERATED_SKEW, db::dialect, error::Storage, id};

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

/// How this machine's clock disagrees with the database's, or with the run before; none if it does not.
async fn jump(app: &App, run: &Run) -> Result<Option<String>, DbErr> {
    let now = app.clock.now();
    let skew = app.clock.skew(app.db.now().await?);
    if skew.abs() > TOLERATED_SKEW {
        return Ok(Some(format!("the clock is {skew} ms ahead of the database's; --force purges all the same")));
    }
    let earlier = history::before(app.db.reader(), run).await?;
    let back = earlier.map_or(0, |earlier| earlier.started_at.millis_since(now));
    let text = format!("the clock is {back} ms behind the last run's; --force purges all the same");
    Ok((back > TOLERATED_SKEW).then_some(text))
}

async fn drain(
    app: &App,
    run: &mut Run,
    stop: &CancellationToken,
    progress: &mut impl Progress,
) -> Result<Outcome, DbErr> {
    let settings = &app.config.maintenance;
    let began = Instant::now();
    for reason in Reason::ALL {
        loop {
            if stop.is_cancelled() {
                return Ok(Outcome::Cancelled);
            }
            if began.elapsed() >= settings.max_run {
                run.backlog = Some(super::preview::backlog(app, app.clock.now()).await?);
                return Ok(Outcome::Budget);
            }
            let deleted = batch(app, run, reason).await?;
            progress.batch(run);
            if deleted < settings.batch_size {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    sweep(app, app.clock.now()).await?;
    run.backlog = Some(0);
    Ok(Outcome::Done)
}

/// One transaction's worth; the time is read anew for each, for a drain may be long.
async fn batch(app: &App, run: &mut Run, reason: Reason) -> Result<u64, DbErr> {
    let stale = reason.stale(app, app.clock.now());
    let size = app.config.maintenance.batch_size;
    let delete = dialect::delete_tokens(app.db.engine(), stale, reason.column(), size);
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

/// What is left over of deleted users, of attempts long ago, and of runs longer ago than they are kept.
async fn sweep(app: &App, now: Timestamp) -> Result<(), DbErr> {
    let settings = &app.config.maintenance;
    let db = app.db.writer();
    let has_tokens = Query::select()
        .expr(Expr::val(1))
        .from(token::Entity)
        .and_where(Expr::col((token::Entity, token::Column::UserId)).equals((user::Entity, user::Column::Id)))
        .to_owned();
    user::Entity::delete_many()
        .filter(user::Column::DeletedAt.lt(now.minus(Ord::max(settings.retain_revoked, SETTLED))))
        .filter(Expr::exists(has_tokens).not())
        .exec(db)
        .await?;
    limits::purge(db, now).await?;
    // The key of a run carries the instant it began at.
    let kept_from = id::first_of(now.minus(settings.keep_runs));
    maintenance_run::Entity::delete_many().filter(maintenance_run::Column::Id.lt(kept_from)).exec(db).await?;
    Ok(())
}
