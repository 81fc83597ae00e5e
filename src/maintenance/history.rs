//! The record of what maintenance did.

use entity::{
    Timestamp, maintenance_run,
    maintenance_run::{Model as Run, Outcome, Trigger},
};
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{NotSet, Set},
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    sea_query::Expr,
};
use uuid::Uuid;

use super::job::Job;
use crate::{clock::TOLERATED_SKEW, error::Error, id};

/// A run that begins now.
pub fn begun(job: Job, replica: &str, trigger: Trigger, now: Timestamp) -> Run {
    Run {
        id: id::new(now),
        job: job.name().to_owned(),
        replica: replica.to_owned(),
        trigger,
        started_at: now,
        finished_at: None,
        outcome: None,
        deleted_expired: 0,
        deleted_revoked: 0,
        deleted_other: 0,
        batches: 0,
        slowest_batch_ms: 0,
        backlog: None,
        error: None,
    }
}

/// Writes a run that begins.
pub async fn record(db: &impl ConnectionTrait, run: Run) -> Result<(), DbErr> {
    let run = run.into_active_model().reset_all();
    maintenance_run::Entity::insert(run).exec_without_returning(db).await.map(drop)
}

/// Writes how a run goes; one that was closed meanwhile stays as it is.
pub async fn update(db: &impl ConnectionTrait, run: Run) -> Result<(), DbErr> {
    let id = run.id;
    let mut run = run.into_active_model().reset_all();
    run.id = NotSet;
    maintenance_run::Entity::update_many().set(run).filter(open(id)).exec(db).await.map(drop)
}

fn open(run: Uuid) -> Condition {
    Condition::all().add(maintenance_run::Column::Id.eq(run)).add(maintenance_run::Column::FinishedAt.is_null())
}

/// Writes how a run ended, unless it was closed meanwhile; tells whether it was not. What it did has been written with each
/// batch: this process may not know of the last.
pub async fn finish(db: &impl ConnectionTrait, run: &Run) -> Result<bool, DbErr> {
    let ended = maintenance_run::ActiveModel {
        finished_at: Set(run.finished_at),
        outcome: Set(run.outcome),
        slowest_batch_ms: Set(run.slowest_batch_ms),
        backlog: Set(run.backlog),
        error: Set(run.error.clone()),
        ..Default::default()
    };
    let written = maintenance_run::Entity::update_many().set(ended).filter(open(run.id)).exec(db).await?;
    Ok(written.rows_affected > 0)
}

/// Closes the records of all runs of a job that never ended, but for one: its process took the lease, so they are dead. Tells
/// which these were.
pub async fn close(db: &impl ConnectionTrait, alive: &Run, now: Timestamp) -> Result<Vec<Run>, DbErr> {
    let error =
        format!("it was not heard of any more: its process died or lost the database; found by {}", alive.replica);
    let dead = maintenance_run::Entity::find()
        .filter(maintenance_run::Column::Job.eq(alive.job.as_str()))
        .filter(maintenance_run::Column::FinishedAt.is_null())
        .filter(maintenance_run::Column::Id.ne(alive.id))
        .lock_exclusive()
        .all(db)
        .await?;
    if dead.is_empty() {
        return Ok(dead);
    }
    maintenance_run::Entity::update_many()
        .col_expr(maintenance_run::Column::FinishedAt, Expr::value(now))
        .col_expr(maintenance_run::Column::Outcome, Expr::value(Outcome::LostLease))
        .col_expr(maintenance_run::Column::Error, Expr::value(error))
        .filter(maintenance_run::Column::Id.is_in(dead.iter().map(|run| run.id)))
        .filter(maintenance_run::Column::FinishedAt.is_null())
        .exec(db)
        .await?;
    Ok(dead)
}

/// The run of this id.
pub async fn find(db: &impl ConnectionTrait, id: Uuid) -> Result<Run, Error> {
    let run = maintenance_run::Entity::find_by_id(id).one(db).await?;
    run.ok_or(Error::NotFound("maintenance run"))
}

/// The runs of these ids, in any order.
pub async fn of(db: &impl ConnectionTrait, ids: impl IntoIterator<Item = Uuid>) -> Result<Vec<Run>, DbErr> {
    maintenance_run::Entity::find().filter(maintenance_run::Column::Id.is_in(ids)).all(db).await
}

/// One page of runs, of one job if one is named, newest first: begun before the one named by `after`.
pub async fn page(
    db: &impl ConnectionTrait,
    job: Option<Job>,
    after: Option<Uuid>,
    limit: u64,
) -> Result<Vec<Run>, DbErr> {
    maintenance_run::Entity::find()
        .filter(Condition::all().add_option(job.map(|job| maintenance_run::Column::Job.eq(job.name()))))
        .filter(Condition::all().add_option(after.map(|id| maintenance_run::Column::Id.lt(id))))
        .order_by_desc(maintenance_run::Column::Id)
        .limit(limit)
        .all(db)
        .await
}

/// Runs that began before then, but for the moment that taking the lease took: a run's key carries when it was asked for.
pub fn begun_before(then: Timestamp) -> Condition {
    maintenance_run::Column::Id.lt(id::first_of(then)).into()
}

/// Runs that began after `now`, by more than clocks may differ: a clock that was ahead wrote them.
pub fn from_the_future(now: Timestamp) -> Condition {
    let farthest = Timestamp::from_millis(now.millis() + TOLERATED_SKEW + 1);
    begun_before(farthest).not()
}
