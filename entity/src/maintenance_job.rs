//! The `maintenance_job` table: what the replicas have to agree on about each job of maintenance. Its row is the job's lease
//! too: whoever may run it is written there.

use sea_orm::entity::prelude::*;

use crate::Timestamp;

/// One job.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "maintenance_job")]
pub struct Model {
    /// The job, such as `purge`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// Which process runs it, or ran it last.
    pub holder: String,
    /// The run that is under way; none while nobody holds the lease.
    pub run_id: Option<Uuid>,
    /// Counts how often the lease was taken: what was begun under an earlier one must not go on.
    pub fence: i64,
    /// When the lease ends unless it is renewed, by the database's clock; exclusive.
    pub lease_expires_at: Timestamp,
    /// The newest time of its schedule that was served, by whichever replica.
    pub served_at: Timestamp,
    /// The newest run that ended.
    pub last_run_id: Option<Uuid>,
    /// When the newest run began that worked by a clock it accepted: what later clocks are compared with.
    pub accepted_at: Option<Timestamp>,
    /// When a run last got everything done.
    pub succeeded_at: Option<Timestamp>,
    /// Where the job goes on next time, if it goes round and round.
    pub position: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}
