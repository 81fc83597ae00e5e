//! The record of what maintenance did.

use entity::{
    Timestamp, maintenance_run,
    maintenance_run::{Model as Run, Outcome, Trigger},
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect,
};
use uuid::Uuid;

use crate::{error::Error, id};

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

/// The run of the same job that was recorded last before this one.
pub async fn before(db: &impl ConnectionTrait, run: &Run) -> Result<Option<Run>, DbErr> {
    maintenance_run::Entity::find()
        .filter(maintenance_run::Column::Job.eq(&run.job))
        .filter(maintenance_run::Column::Id.ne(run.id))
        .order_by_desc(maintenance_run::Column::Id)
        .one(db)
        .await
}

/// The newest run of a job, and the newest that got everything done.
pub async fn last(db: &impl ConnectionTrait, job: &str) -> Result<(Option<Run>, Option<Run>), DbErr> {
    let newest = maintenance_run::Entity::find()
        .filter(maintenance_run::Column::Job.eq(job))
        .order_by_desc(maintenance_run::Column::Id);
    let done = newest.clone().filter(maintenance_run::Column::Outcome.eq(Outcome::Done));
    Ok((newest.one(db).await?, done.one(db).await?))
}
