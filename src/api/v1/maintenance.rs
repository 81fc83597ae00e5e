//! What maintenance did, does and would do, for administrators.

use std::sync::Arc;

use entity::{
    Timestamp,
    maintenance_run::{self, Trigger},
};
use poem::{http::StatusCode, web::Data};
use poem_openapi::{
    ApiResponse, Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::Example,
};
use uuid::Uuid;

use crate::{
    api::{
        auth::Admin,
        json::{Time, cut, page_size, parse_cursor},
        problem::ApiError,
        tags::Tag,
    },
    app::App,
    error::Error,
    maintenance::{
        self,
        estimate::Count,
        health::{self, Health},
        history,
        job::Job,
        preview,
        state::NotStarted,
    },
};

/// Maintenance.
#[derive(Debug)]
pub struct MaintenanceApi;

/// Why a run began.
#[derive(Clone, Copy, Debug, Enum)]
#[oai(rename_all = "snake_case", remote = "maintenance_run::Trigger")]
pub enum RunTrigger {
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
#[derive(Clone, Copy, Debug, Enum)]
#[oai(rename_all = "snake_case", remote = "maintenance_run::Outcome")]
pub enum RunOutcome {
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

/// What was done away with, by what made it stale.
#[derive(Clone, Debug, Object)]
pub struct DeletedByReason {
    /// They had expired.
    pub expired: i64,
    /// They had been revoked.
    pub revoked: i64,
    /// Whatever else the job did away with: users without tokens, notes of changes, counters, replaced secrets, records of
    /// runs, pages of a file.
    pub other: i64,
}

/// One run of one job.
#[derive(Clone, Debug, Object)]
#[oai(example)]
pub struct MaintenanceRun {
    /// The run's id.
    pub id: Uuid,
    /// The job, such as `purge`.
    pub job: String,
    /// Which process ran it.
    pub replica: String,
    /// Why it began.
    pub trigger: RunTrigger,
    /// When it began.
    pub started_at: Time,
    /// When it ended; null while it runs.
    pub finished_at: Option<Time>,
    /// How it ended; null while it runs.
    pub outcome: Option<RunOutcome>,
    /// What it deleted.
    pub deleted: DeletedByReason,
    /// Transactions it took.
    pub batches: i64,
    /// The longest of them, in milliseconds.
    pub slowest_batch_ms: i64,
    /// Stale rows that were left, about how many where they are many; null where that was not counted.
    pub backlog: Option<i64>,
    /// What went wrong.
    pub error: Option<String>,
}

impl Example for MaintenanceRun {
    fn example() -> Self {
        let started_at = Timestamp::from_millis(1_795_510_800_000);
        Self {
            id: Uuid::from_u128(0x01a2_0b2f_e900_7c3e_9d12_4f5a_6b7c_8d9e),
            job: "purge".to_owned(),
            replica: "auth-1/4711".to_owned(),
            trigger: RunTrigger::Schedule,
            started_at: Time(started_at),
            finished_at: Some(Time(started_at.plus_seconds(1))),
            outcome: Some(RunOutcome::Done),
            deleted: DeletedByReason { expired: 1_200, revoked: 34, other: 0 },
            batches: 3,
            slowest_batch_ms: 12,
            backlog: Some(0),
            error: None,
        }
    }
}

impl From<maintenance_run::Model> for MaintenanceRun {
    fn from(row: maintenance_run::Model) -> Self {
        Self {
            id: row.id,
            job: row.job,
            replica: row.replica,
            trigger: row.trigger.into(),
            started_at: Time(row.started_at),
            finished_at: row.finished_at.map(Time),
            outcome: row.outcome.map(Into::into),
            deleted: DeletedByReason {
                expired: row.deleted_expired,
                revoked: row.deleted_revoked,
                other: row.deleted_other,
            },
            batches: row.batches,
            slowest_batch_ms: row.slowest_batch_ms,
            backlog: row.backlog,
            error: row.error,
        }
    }
}

/// One page of runs, newest first.
#[derive(Debug, Object)]
#[oai(example)]
pub struct MaintenanceRunPage {
    /// The runs.
    items: Vec<MaintenanceRun>,
    /// Asks for the next page; null on the last.
    next_cursor: Option<String>,
}

impl Example for MaintenanceRunPage {
    fn example() -> Self {
        Self { items: vec![MaintenanceRun::example()], next_cursor: None }
    }
}

/// A job that runs on a schedule.
#[derive(Debug, Object)]
pub struct MaintenanceJob {
    /// Its name: `purge`, `changes`, `counters`, `rotations`, `history` or `sqlite`.
    name: String,
    /// When it runs: second, minute, hour, day of month, month, day of week, in UTC.
    schedule: String,
    /// When it runs next.
    next_run_at: Option<Time>,
    /// How it is doing.
    status: JobStatus,
    /// What ails it.
    detail: Option<String>,
    /// The process that runs it now; null while none does.
    holder: Option<String>,
    /// Its newest run that ended.
    last_run: Option<MaintenanceRun>,
    /// When it last got everything done.
    last_success_at: Option<Time>,
}

/// How a job is doing.
#[derive(Clone, Copy, Debug, Enum)]
#[oai(rename_all = "snake_case")]
pub enum JobStatus {
    /// Well.
    Ok,
    /// Its last run failed or was refused, the clock is behind the last run's, or it has not got everything done for three
    /// times its schedule.
    Degraded,
}

/// Maintenance at a glance.
#[derive(Debug, Object)]
#[oai(example)]
pub struct MaintenanceStatus {
    /// The jobs.
    jobs: Vec<MaintenanceJob>,
    /// Stale tokens that are still there.
    backlog: u64,
    /// Whether the backlog is an estimate, as it is when it is large.
    backlog_estimated: bool,
}

impl Example for MaintenanceStatus {
    fn example() -> Self {
        let last_run = MaintenanceRun::example();
        let purge = MaintenanceJob {
            name: "purge".to_owned(),
            schedule: "0 */5 * * * *".to_owned(),
            next_run_at: Some(Time(last_run.started_at.0.plus_seconds(300))),
            status: JobStatus::Ok,
            detail: None,
            holder: None,
            last_success_at: last_run.finished_at,
            last_run: Some(last_run),
        };
        Self { jobs: vec![purge], backlog: 0, backlog_estimated: false }
    }
}

/// What a purge would delete.
#[derive(Debug, Object)]
pub struct Purgeable {
    /// Expired for longer than they are kept.
    expired: u64,
    /// Revoked for longer than they are kept.
    revoked: u64,
}

/// How many tokens will be ripe.
#[derive(Debug, Object)]
#[expect(clippy::struct_field_names, reason = "they are the names in the JSON")]
pub struct Upcoming {
    /// Within the next hour.
    within_1h: u64,
    /// Within the next day, that hour included.
    within_24h: u64,
    /// Within the next week, that day included.
    within_7d: u64,
}

/// What a purge would do.
#[derive(Debug, Object)]
#[oai(example)]
pub struct PurgePreview {
    /// What would go now.
    now: Purgeable,
    /// When the oldest of these ended.
    oldest: Option<Time>,
    /// What becomes purgeable later.
    upcoming: Upcoming,
    /// Whether a number above is an estimate: of many rows, not all are counted. The hours below each say so themselves.
    estimated: bool,
    /// How many tokens expire in each hour of the coming week, the present hour first; revoked ones included.
    expiries: Vec<ExpiringTokens>,
}

/// Tokens that expire within one hour.
#[derive(Debug, Object)]
pub struct ExpiringTokens {
    /// When the hour begins.
    from: Time,
    /// How many.
    tokens: u64,
    /// Whether that is an estimate.
    estimated: bool,
}

impl Example for PurgePreview {
    fn example() -> Self {
        Self {
            now: Purgeable { expired: 1_200, revoked: 34 },
            oldest: Some(Time(Timestamp::from_millis(1_795_424_400_000))),
            upcoming: Upcoming { within_1h: 100, within_24h: 2_500, within_7d: 17_000 },
            estimated: false,
            expiries: vec![ExpiringTokens {
                from: Time(Timestamp::from_millis(1_795_510_800_000)),
                tokens: 120,
                estimated: false,
            }],
        }
    }
}

/// The purge has begun.
#[derive(ApiResponse)]
pub enum Started {
    /// The run, as it begins; ask for it by its id to see how it ends.
    #[oai(status = 202)]
    Run(Json<MaintenanceRun>),
}

#[OpenApi(prefix_path = "/v1/maintenance", tag = "Tag::Maintenance")]
impl MaintenanceApi {
    /// Look at maintenance
    #[oai(path = "/", method = "get", operation_id = "getMaintenance")]
    async fn status(&self, Admin(caller): Admin, app: Data<&Arc<App>>) -> Result<Json<MaintenanceStatus>, ApiError> {
        let jobs = health::all(&app, caller.now).await?.into_iter().map(|health| job(health, caller.now)).collect();
        let backlog = preview::backlog(&app, caller.now).await?;
        Ok(Json(MaintenanceStatus { jobs, backlog: backlog.rows, backlog_estimated: backlog.estimated }))
    }

    /// List maintenance runs
    ///
    /// Newest first.
    #[oai(path = "/runs", method = "get", operation_id = "listMaintenanceRuns")]
    async fn runs(
        &self,
        _admin: Admin,
        app: Data<&Arc<App>>,
        /// Of which job; of all if none is named.
        job: Query<Option<String>>,
        /// How many at most.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<i64>>,
        /// Where to go on: a `next_cursor`.
        cursor: Query<Option<String>>,
    ) -> Result<Json<MaintenanceRunPage>, ApiError> {
        let limit = page_size(limit.0);
        let job = job.0.as_deref().map(named).transpose()?;
        let mut rows = history::page(app.db.reader(), job, parse_cursor(cursor.0.as_deref())?, limit + 1).await?;
        let next_cursor = cut(&mut rows, limit, |run| run.id);
        Ok(Json(MaintenanceRunPage { items: rows.into_iter().map(Into::into).collect(), next_cursor }))
    }

    /// Look at a maintenance run
    #[oai(path = "/runs/:id", method = "get", operation_id = "getMaintenanceRun")]
    async fn run(
        &self,
        _admin: Admin,
        app: Data<&Arc<App>>,
        /// The run's id.
        id: Path<String>,
    ) -> Result<Json<MaintenanceRun>, ApiError> {
        let id = id.parse();
        let id = id.map_err(|_| ApiError::field(StatusCode::BAD_REQUEST, "id", "must be a UUID"))?;
        Ok(Json(history::find(app.db.reader(), id).await?.into()))
    }

    /// Preview the purge
    ///
    /// What a purge would delete now, and what becomes purgeable soon. Changes nothing.
    #[oai(path = "/preview", method = "get", operation_id = "previewPurge")]
    async fn preview(&self, Admin(caller): Admin, app: Data<&Arc<App>>) -> Result<Json<PurgePreview>, ApiError> {
        Ok(Json(preview::preview(&app, caller.now).await?.into()))
    }

    /// Purge now
    ///
    /// Starts a purge and answers at once. 409 if one is running, naming it.
    #[oai(path = "/purge", method = "post", operation_id = "runPurge")]
    async fn purge(&self, Admin(caller): Admin, app: Data<&Arc<App>>) -> Result<Started, ApiError> {
        match maintenance::start(&app, Job::Purge, Trigger::Api, &caller.actor()).await {
            Ok(run) => Ok(Started::Run(Json(run.into()))),
            Err(NotStarted::Failed(error)) => Err(error.into()),
            Err(running @ (NotStarted::Running(_) | NotStarted::Served)) => {
                Err(Error::Conflict(running.to_string()).into())
            }
        }
    }
}

fn named(job: &str) -> Result<Job, ApiError> {
    let known = Job::ALL.map(Job::name).join(", ");
    Job::from_name(job)
        .ok_or_else(|| ApiError::field(StatusCode::BAD_REQUEST, "job", format!("must be one of {known}")))
}

fn job(health: Health, now: Timestamp) -> MaintenanceJob {
    let schedule = &health.scheduled.schedule;
    MaintenanceJob {
        name: health.scheduled.job.name().to_owned(),
        schedule: schedule.as_str().to_owned(),
        next_run_at: schedule.next_after(now).map(Time),
        status: if health.ailment.is_some() { JobStatus::Degraded } else { JobStatus::Ok },
        holder: health.holder().map(str::to_owned),
        last_success_at: health.succeeded_at().map(Time),
        detail: health.ailment,
        last_run: health.last.map(Into::into),
    }
}

impl From<preview::Preview> for PurgePreview {
    fn from(preview: preview::Preview) -> Self {
        let preview::Preview { expired, revoked, oldest, within_1h, within_24h, within_7d, expiries } = preview;
        let counts = [expired, revoked, within_1h, within_24h, within_7d];
        Self {
            now: Purgeable { expired: expired.rows, revoked: revoked.rows },
            oldest: oldest.map(Time),
            upcoming: Upcoming { within_1h: within_1h.rows, within_24h: within_24h.rows, within_7d: within_7d.rows },
            estimated: counts.iter().any(|count| count.estimated),
            expiries: expiries.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<(Timestamp, Count)> for ExpiringTokens {
    fn from((from, count): (Timestamp, Count)) -> Self {
        Self { from: Time(from), tokens: count.rows, estimated: count.estimated }
    }
}
