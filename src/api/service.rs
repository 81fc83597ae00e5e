//! Whether the service is up and well, for those who run it.

use std::sync::{Arc, atomic::Ordering};

use poem::web::Data;
use poem_openapi::{
    ApiResponse, Enum, Object, OpenApi,
    payload::{Json, PlainText},
    types::Example,
};

use super::{problem::ApiError, tags::Tag};
use crate::{
    app::App,
    clock::{NOTICED_SKEW, TOLERATED_SKEW},
    db::migrate,
    error::{Error, Storage},
    maintenance::{health, sanity},
    telemetry,
};

/// The service doors.
#[derive(Debug)]
pub struct ServiceApi;

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Enum)]
#[oai(rename_all = "snake_case")]
pub enum Condition {
    /// Well.
    Ok,
    /// Ailing, but requests are answered.
    Degraded,
    /// Not able to answer requests.
    Unavailable,
}

/// The process is up.
#[derive(Debug, Object)]
#[oai(example)]
pub struct Health {
    /// Always `ok`.
    status: Condition,
}

impl Example for Health {
    fn example() -> Self {
        Self { status: Condition::Ok }
    }
}

/// One part of the service.
#[derive(Clone, Debug, Object)]
pub struct Part {
    /// `database`, `migrations`, `clock` or `maintenance`; or only `shutdown`, once the service was told to stop.
    name: String,
    /// How it is.
    status: Condition,
    /// What ails it.
    detail: Option<String>,
}

/// The service and its parts.
#[derive(Clone, Debug, Object)]
#[oai(example)]
pub struct Readiness {
    /// The worst of its parts.
    status: Condition,
    /// The version that runs.
    version: String,
    /// The parts.
    parts: Vec<Part>,
}

impl Example for Readiness {
    fn example() -> Self {
        let parts = ["database", "migrations", "clock", "maintenance"].map(well).into();
        Self { status: Condition::Ok, version: env!("CARGO_PKG_VERSION").to_owned(), parts }
    }
}

/// Whether requests should come here.
#[derive(ApiResponse)]
pub enum Ready {
    /// They should; something may be `degraded`.
    #[oai(status = 200)]
    Ready(Json<Readiness>),
    /// They should not, and the failing part is named.
    #[oai(status = 503)]
    Unready(Json<Readiness>, #[oai(header = "Retry-After")] u64),
}

#[OpenApi(tag = "Tag::Service")]
impl ServiceApi {
    /// Is the process up
    #[oai(path = "/healthz", method = "get", operation_id = "getHealth")]
    async fn health(&self) -> Json<Health> {
        Json(Health { status: Condition::Ok })
    }

    /// Should requests come here
    #[oai(path = "/readyz", method = "get", operation_id = "getReadiness")]
    async fn readiness(&self, app: Data<&Arc<App>>) -> Ready {
        let parts = parts(&app).await;
        let status = parts.iter().map(|part| part.status).max().unwrap_or(Condition::Ok);
        let readiness = Readiness { status, version: env!("CARGO_PKG_VERSION").to_owned(), parts };
        match status {
            Condition::Ok | Condition::Degraded => Ready::Ready(Json(readiness)),
            Condition::Unavailable => Ready::Unready(Json(readiness), 1),
        }
    }

    /// Metrics for Prometheus
    #[oai(path = "/metrics", method = "get", operation_id = "getMetrics")]
    async fn metrics(&self, app: Data<&Arc<App>>) -> Result<PlainText<String>, ApiError> {
        telemetry::remembered(app.checker.len(), app.checker.refusals());
        let metrics = telemetry::render();
        Ok(PlainText(metrics.ok_or_else(|| Error::Internal("nothing is counted in this process".to_owned()))?))
    }
}

/// Each part, as far as one can be asked while the ones before it do not answer.
async fn parts(app: &App) -> Vec<Part> {
    if app.stopping.load(Ordering::Relaxed) {
        return vec![ailing("shutdown", Condition::Unavailable, "the service is stopping".to_owned())];
    }
    let skew = match sanity::skew(app).await {
        Ok(skew) => skew,
        Err(error) => return vec![ailing("database", Condition::Unavailable, Storage::from(error).to_string())],
    };
    vec![well("database"), migrations(app).await, clock(skew), maintenance(app).await]
}

async fn migrations(app: &App) -> Part {
    match migrate::status(&app.db).await {
        Ok(steps) => match steps.iter().find(|step| !step.applied) {
            None => well("migrations"),
            Some(missing) => ailing("migrations", Condition::Unavailable, format!("{} is missing", missing.name)),
        },
        Err(error) => ailing("migrations", Condition::Unavailable, Storage::from(error).to_string()),
    }
}

/// A clock that is far off ends tokens too early or too late.
fn clock(skew: i64) -> Part {
    let status = match skew.abs() {
        0..=NOTICED_SKEW => return well("clock"),
        ..=TOLERATED_SKEW => Condition::Degraded,
        _ => Condition::Unavailable,
    };
    ailing("clock", status, format!("it is {}", sanity::against_database(skew)))
}

/// Maintenance that ails must not take the service out of service; it must be seen.
async fn maintenance(app: &App) -> Part {
    match health::all(app, app.clock.now()).await {
        Ok(jobs) => match jobs.into_iter().find_map(|job| job.ailment) {
            None => well("maintenance"),
            Some(why) => ailing("maintenance", Condition::Degraded, why),
        },
        Err(error) => ailing("maintenance", Condition::Degraded, Storage::from(error).to_string()),
    }
}

fn well(name: &str) -> Part {
    Part { name: name.to_owned(), status: Condition::Ok, detail: None }
}

fn ailing(name: &str, status: Condition, detail: String) -> Part {
    Part { name: name.to_owned(), status, detail: Some(detail) }
}
