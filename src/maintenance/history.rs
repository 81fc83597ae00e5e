//! The record of what maintenance did.

use entity::{
    Timestamp, maintenance_run,
    maintenance_run::{Model as Run, Outcome, Trigger},
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect, Select,
};
use uuid::Uuid;

use crate::{clock::TOLERATED_SKEW, error::Error, id};

/// A run that begins now.
pub fn begun(job: &str, replica: &str, trigger: Trigger, now: Timestamp) -> Run {
    Run {
        id: id::new(now),
        job: job.to_owned(),
        replica: replica.to_owned(),
        trigger,
        started_at: now,
        finished_at: None,
        outcome: None,
        deleted_expired: 0,
        deleted_revoked: 0,
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

/// Writes how a run ended.
pub async fn update(db: &impl ConnectionTrait, run: Run) -> Result<(), DbErr> {
    let run = run.into_active_model().reset_all();
    maintenance_run::Entity::update(run).exec_without_returning(db).await.map(drop)
}

/// The run of this id.
pub async fn find(db: &impl ConnectionTrait, id: Uuid) -> Result<Run, Error> {
    let run = maintenance_run::Entity::find_by_id(id).one(db).await?;
    run.ok_or(Error::NotFound("maintenance run"))
}

/// One page of runs, newest first: begun before the one named by `after`.
pub async fn page(db: &impl ConnectionTrait, after: Option<Uuid>, limit: u64) -> Result<Vec<Run>, DbErr> {
    maintenance_run::Entity::find()
        .filter(Condition::all().add_option(after.map(|id| maintenance_run::Column::Id.lt(id))))
        .order_by_desc(maintenance_run::Column::Id)
        .limit(limit)
        .all(db)
        .await
}

/// The newest run of a job that worked by a clock it accepted: what later clocks are compared with. A run that was
/// refused, or did not come to its end, proves nothing about the time.
pub async fn baseline(db: &impl ConnectionTrait, job: &str) -> Result<Option<Run>, DbErr> {
    newest_of(job).filter(maintenance_run::Column::Outcome.is_in([Outcome::Done, Outcome::Budget])).one(db).await
}

/// The newest run of a job, but for those [`from_the_future`].
pub async fn newest(db: &impl ConnectionTrait, job: &str, now: Timestamp) -> Result<Option<Run>, DbErr> {
    newest_of(job).filter(from_the_future(now).not()).one(db).await
}

/// The newest run of a job that got everything done.
pub async fn last_done(db: &impl ConnectionTrait, job: &str) -> Result<Option<Run>, DbErr> {
    newest_of(job).filter(maintenance_run::Column::Outcome.eq(Outcome::Done)).one(db).await
}

/// Runs that began after `now`, by more than clocks may differ: a clock that was ahead wrote them.
pub fn from_the_future(now: Timestamp) -> Condition {
    let farthest = Timestamp::from_millis(now.millis() + TOLERATED_SKEW + 1);
    // The key of a run carries the instant it began at.
    maintenance_run::Column::Id.gte(id::first_of(farthest)).into()
}

fn newest_of(job: &str) -> Select<maintenance_run::Entity> {
    maintenance_run::Entity::find()
        .filter(maintenance_run::Column::Job.eq(job))
        .order_by_desc(maintenance_run::Column::Id)
}
