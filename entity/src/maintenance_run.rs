//! The `maintenance_run` table: what maintenance did, and when.

use sea_orm::entity::prelude::*;

use crate::Timestamp;

/// Why a run began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
pub enum Trigger {
    /// Its schedule.
    Schedule,
    /// The service started.
    Start,
    /// An administrator asked through the API.
    Api,
    /// Somebody asked on the command line.
    Cli,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing was left to do.
    Done,
    /// Its time ran out first; the next run goes on.
    Budget,
    /// It was asked to stop.
    Cancelled,
    /// Its process died, or another took over because it had not been heard of for too long.
    LostLease,
    /// The clock had jumped: what looks stale may not be.
    Clock,
    /// An error ended it.
    Failed,
}

/// One run of one job.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "maintenance_run")]
pub struct Model {
    /// A `UUIDv7`: rows lie in the order the runs began.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The job, such as `purge`.
    pub job: String,
    /// Which process ran it.
    pub replica: String,
    /// Why it began.
    pub trigger: Trigger,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; none while it runs.
    pub finished_at: Option<Timestamp>,
    /// How it ended; none while it runs.
    pub outcome: Option<Outcome>,
    /// Rows deleted because they had expired.
    pub deleted_expired: i64,
    /// Rows deleted because they had been revoked.
    pub deleted_revoked: i64,
    /// Whatever else the job did away with.
    pub deleted_other: i64,
    /// Transactions it took.
    pub batches: i64,
    /// The longest of them, in milliseconds.
    pub slowest_batch_ms: i64,
    /// Stale rows that were left, about how many where they are many; none where that was not counted.
    pub backlog: Option<i64>,
    /// What went wrong, in words for an operator.
    pub error: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Whether it worked by a clock that it accepted. A run that was refused, or did not come to its end, proves nothing about
    /// the time.
    pub fn accepted_its_clock(&self) -> bool {
        matches!(self.outcome, Some(Outcome::Done | Outcome::Budget))
    }

    /// When it had got everything done, if it did.
    pub fn succeeded_at(&self) -> Option<Timestamp> {
        self.finished_at.filter(|_| self.outcome == Some(Outcome::Done))
    }

    /// How many rows it did away with.
    pub fn deleted(&self) -> i64 {
        self.deleted_expired + self.deleted_revoked + self.deleted_other
    }
}
