//! Who may run a job: one process at a time, of all replicas and command lines on a database.
//!
//! Each job has a row in `maintenance_job`. To take the lease is to change that row from what was read to one's own name, with
//! a time at which the lease ends and a fence that is one higher: of two who try, one finds the row changed. It is renewed
//! while the job runs; who has died does not renew it, and it can be taken when its time is over. The time is the database's,
//! so that replicas need not agree on theirs (on a Galera cluster it is a node's: those should agree to within seconds). All of
//! it is plain SQL that any engine has, and no lock is held from one batch to the next.
//!
//! A runner that was held up for longer than its lease lasts may not know that another took over. So every batch renews the
//! lease in its own transaction: what is no longer held cannot be renewed, and then nothing of the batch is kept.

use std::time::{Duration, Instant};

use entity::{
    Timestamp, maintenance_job as row,
    maintenance_run::{Model as Run, Outcome},
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter,
    SqlErr, Value, sea_query::Expr,
};
use uuid::Uuid;

use super::job::Job;
use crate::{clock::TOLERATED_SKEW, db::Db};

/// How long a lease lasts from when it was taken or renewed. A killed runner's job is taken over by whoever looks next, which
/// replicas do every two seconds (`watch.rs`): within 15 seconds in all.
pub const LASTS: Duration = Duration::from_secs(10);

/// The lease of a job that this process holds.
#[derive(Debug)]
pub struct Lease {
    /// Where an earlier run of the job left off, and where the next shall go on, if it goes round and round.
    pub position: Option<String>,
    /// When the run began, by a clock that was found right; nothing before that.
    pub believed: Option<Timestamp>,
    job: Job,
    fence: i64,
    time: DatabaseTime,
    /// What was served before it was taken.
    served_before: Timestamp,
}

/// The database's time, as far as is known without asking again: never ahead of it.
#[derive(Clone, Copy, Debug)]
struct DatabaseTime {
    then: Timestamp,
    /// Read before the database was asked.
    asked: Instant,
}

impl DatabaseTime {
    async fn ask(db: &Db) -> Result<Self, DbErr> {
        // In this order, or a slow answer would count twice.
        let asked = Instant::now();
        Ok(Self { then: db.now().await?, asked })
    }

    /// When a lease ends that is taken or renewed now.
    fn end_of_lease(self) -> Timestamp {
        let since = i64::try_from((self.asked.elapsed() + LASTS).as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(self.then.millis() + since)
    }
}

/// What came of trying to take a lease.
#[derive(Debug)]
pub enum Taken {
    /// It is held now; a run that was under way before, and has died, is named.
    Held(Lease, Option<Uuid>),
    /// Somebody else holds it.
    Running(row::Model),
    /// That time of the schedule has been served.
    Served,
}

/// The rows of all jobs that ever ran.
pub async fn all(db: &Db) -> Result<Vec<row::Model>, DbErr> {
    row::Entity::find().all(db.reader()).await
}

/// The row of a job, if it ever ran.
pub async fn of(db: &Db, job: Job) -> Result<Option<row::Model>, DbErr> {
    row::Entity::find_by_id(job.name()).one(db.writer()).await
}

/// Whether the run that a row tells of has died, `now` being the database's time. A lease that lasts for longer than any was taken
/// by a clock that was ahead, and would else be waited for until then; should its runner live, it finds the lease lost.
pub fn is_abandoned(row: &row::Model, now: Timestamp) -> bool {
    let left = row.lease_expires_at.millis_since(now);
    row.run_id.is_some() && !(1..=LONGEST).contains(&left)
}

/// What a lease may last at most, in milliseconds, by a clock that may be believed.
const LONGEST: i64 = LASTS.as_secs().cast_signed() * 1000 + TOLERATED_SKEW;

const NEVER: Timestamp = Timestamp::from_millis(0);

/// The newest time of its schedule that was served. One that has not come yet was written by a clock that was ahead, whose run
/// was refused: it counts for nothing.
pub fn served_at(row: &row::Model, now: Timestamp) -> Timestamp {
    if row.served_at.millis_since(now) > TOLERATED_SKEW { NEVER } else { row.served_at }
}

/// Tries to take the lease for a run; with a `tick`, only if that time of the schedule has not been served, or if whoever
/// served it has died over it.
pub async fn take(db: &Db, job: Job, run: &Run, tick: Option<Timestamp>) -> Result<Taken, DbErr> {
    db.insist(|| take_once(db, job, run, tick)).await
}

async fn take_once(db: &Db, job: Job, run: &Run, tick: Option<Timestamp>) -> Result<Taken, DbErr> {
    loop {
        let time = DatabaseTime::ask(db).await?;
        let Some(seen) = of(db, job).await? else {
            if insert(db, first(job, run, time, tick)).await? {
                return Ok(Taken::Held(
                    Lease { position: None, believed: None, job, fence: 1, time, served_before: NEVER },
                    None,
                ));
            }
            continue;
        };
        let abandoned = is_abandoned(&seen, time.then);
        if seen.run_id.is_some() && !abandoned {
            return Ok(Taken::Running(seen));
        }
        let served = served_at(&seen, time.then);
        if tick.is_some_and(|tick| tick <= served) && !abandoned {
            return Ok(Taken::Served);
        }
        let fence = seen.fence + 1;
        let change = row::Entity::update_many()
            .col_expr(row::Column::Holder, Expr::value(run.replica.clone()))
            .col_expr(row::Column::RunId, Expr::value(run.id))
            .col_expr(row::Column::Fence, Expr::value(fence))
            .col_expr(row::Column::LeaseExpiresAt, Expr::value(time.end_of_lease()))
            .col_expr(row::Column::ServedAt, Expr::value(tick.map_or(served, |tick| tick.max(served))))
            .filter(under(job, seen.fence))
            // A late renewal is seen by this, the end of the run by the next.
            .filter(row::Column::LeaseExpiresAt.eq(seen.lease_expires_at))
            .filter(same_run(seen.run_id));
        if change.exec(db.writer()).await?.rows_affected == 1 {
            return Ok(Taken::Held(
                Lease { position: seen.position, believed: None, job, fence, time, served_before: served },
                seen.run_id,
            ));
        }
    }
}

impl Lease {
    /// Renews it; false if it was lost.
    pub async fn renew(&self, db: &impl ConnectionTrait) -> Result<bool, DbErr> {
        let change = row::Entity::update_many()
            .col_expr(row::Column::LeaseExpiresAt, Expr::value(self.time.end_of_lease()))
            .filter(under(self.job, self.fence));
        Ok(change.exec(db).await?.rows_affected == 1)
    }

    /// Gives it back, and writes beside it how the run ended; that of a lease which was lost is nobody's business.
    pub async fn release(&self, db: &Db, run: &Run) -> Result<(), DbErr> {
        let mut change = row::Entity::update_many()
            .col_expr(row::Column::RunId, Expr::value(Value::Uuid(None)))
            .col_expr(row::Column::LastRunId, Expr::value(run.id))
            .col_expr(row::Column::Position, Expr::value(self.position.clone()))
            .filter(under(self.job, self.fence));
        // What it was asked to leave unfinished is there for another replica.
        if run.outcome == Some(Outcome::Cancelled) {
            change = change.col_expr(row::Column::ServedAt, Expr::value(self.served_before));
        }
        if let Some(believed) = self.believed.filter(|_| run.accepted_its_clock()) {
            change = change.col_expr(row::Column::AcceptedAt, Expr::value(believed));
        }
        if let Some(at) = run.succeeded_at() {
            change = change.col_expr(row::Column::SucceededAt, Expr::value(at));
        }
        change.exec(db.writer()).await.map(drop)
    }
}

fn under(job: Job, fence: i64) -> Condition {
    Condition::all().add(row::Column::Name.eq(job.name())).add(row::Column::Fence.eq(fence))
}

fn same_run(run: Option<Uuid>) -> Expr {
    run.map_or_else(|| row::Column::RunId.is_null(), |run| row::Column::RunId.eq(run))
}

/// The row of a job that runs for the first time on this database.
fn first(job: Job, run: &Run, time: DatabaseTime, tick: Option<Timestamp>) -> row::Model {
    row::Model {
        name: job.name().to_owned(),
        holder: run.replica.clone(),
        run_id: Some(run.id),
        fence: 1,
        lease_expires_at: time.end_of_lease(),
        served_at: tick.unwrap_or(NEVER),
        last_run_id: None,
        accepted_at: None,
        succeeded_at: None,
        position: None,
    }
}

/// False if another was faster.
async fn insert(db: &Db, row: row::Model) -> Result<bool, DbErr> {
    match row::Entity::insert(row.into_active_model().reset_all()).exec_without_returning(db.writer()).await {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) => Ok(false),
        Err(error) => Err(error),
    }
}
