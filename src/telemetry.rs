//! Logs and metrics.

use std::{
    io::IsTerminal,
    sync::{LazyLock, OnceLock},
    time::Duration,
};

use entity::{
    Timestamp,
    maintenance_run::{Model as Run, Outcome},
};
use metrics::Histogram;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use poem::http::{Method, StatusCode};
use sea_orm::{ActiveEnum, Iterable};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::{
    config::{Log, LogFormat, LogLevel},
    error::Error,
    maintenance::{health::Health, job::Job},
};

/// Sends what the program has to say to standard error: text for a person at a terminal, JSON for everything else.
pub fn log(settings: &Log) {
    let level = match settings.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // Libraries may print what passes through them; below warnings that is not for a log.
    let others = Targets::new().with_default(level.min(LevelFilter::WARN));
    let ours = others.with_target("daypass", level).with_target("audit", level);
    let text = match settings.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let layer = if text {
        fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(std::io::stderr().is_terminal()).boxed()
    } else {
        fmt::layer()
            .json()
            .with_writer(std::io::stderr)
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .boxed()
    };
    tracing_subscriber::registry().with(layer.with_filter(ours)).init();
}

static METRICS: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Starts counting; once for the process, however often it is called.
pub fn count() {
    METRICS.get_or_init(|| {
        let buckets =
            [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
        let recorder = PrometheusBuilder::new().set_buckets(&buckets).map(PrometheusBuilder::install_recorder);
        match recorder {
            Ok(Ok(handle)) => {
                begin_at_zero();
                Some(handle)
            }
            Ok(Err(error)) | Err(error) => {
                tracing::warn!(%error, "there will be no metrics");
                None
            }
        }
    });
}

/// Tidies up behind the counting, again and again for as long as it is polled: what was measured is otherwise kept sample
/// by sample until somebody asks for the metrics, and perhaps nobody ever does.
pub async fn tidy() {
    let mut due = tokio::time::interval(Duration::from_secs(5));
    loop {
        due.tick().await;
        if let Some(metrics) = METRICS.get().and_then(Option::as_ref) {
            metrics.run_upkeep();
            tracing::trace!("the metrics are tidy");
        }
    }
}

/// What was counted, as Prometheus reads it; none where counting could not begin.
pub fn render() -> Option<String> {
    METRICS.get().and_then(Option::as_ref).map(PrometheusHandle::render)
}

/// One request was answered. `route` is its pattern, never its path, and a method that nobody answers has no name: either
/// would let strangers make as many series as they like.
pub fn answered(method: &Method, route: &str, status: StatusCode, took: Duration) {
    let labels =
        [("method", name_of(method).to_owned()), ("route", route.to_owned()), ("status", status.as_u16().to_string())];
    metrics::histogram!("daypass_http_request_duration_seconds", &labels).record(took);
}

/// The method's name, or `other` for one that strangers make up: it might be a secret, and each would be a series.
pub fn name_of(method: &Method) -> &str {
    const KNOWN: [Method; 7] =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
    if KNOWN.contains(method) { method.as_str() } else { "other" }
}

/// Somebody tried to log in.
pub fn login<T>(result: &Result<T, Error>) {
    let outcome = match result {
        Ok(_) => "ok",
        Err(Error::BadCredentials) => "bad_credentials",
        Err(Error::Throttled { policy, .. }) if policy.name == "login-account" => "locked_out",
        Err(Error::Throttled { .. }) => "throttled",
        Err(Error::Busy | Error::Storage(_) | Error::Internal(_)) => "unavailable",
        Err(_) => "refused",
    };
    metrics::counter!("daypass_logins_total", "outcome" => outcome).increment(1);
}

/// What becomes of a login: the password was wrong, or the user barred; the account was locked; the address was over its limit;
/// it could not be found out; the password was right, and something else was not.
const LOGINS: [&str; 6] = ["ok", "bad_credentials", "locked_out", "throttled", "unavailable", "refused"];

/// One check was answered. It is counted where all requests are; what it is counted with is looked up once.
pub fn checked(status: StatusCode, took: Duration) {
    static STATUSES: [u16; 4] = [200, 401, 403, 503];
    static HISTOGRAMS: LazyLock<[Histogram; 4]> = LazyLock::new(|| {
        STATUSES.map(|status| {
            let labels =
                [("method", "any".to_owned()), ("route", "/v1/check".to_owned()), ("status", status.to_string())];
            metrics::histogram!("daypass_http_request_duration_seconds", &labels)
        })
    });
    let at = STATUSES.iter().position(|known| *known == status.as_u16());
    if let Some(histogram) = at.and_then(|at| HISTOGRAMS.get(at)) {
        histogram.record(took);
    }
}

/// How much checks remember: see [`crate::token::checker`].
pub fn remembered(tokens: usize, refusals: usize) {
    for (of, entries) in [("tokens", tokens), ("refusals", refusals)] {
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a double")]
        metrics::gauge!("daypass_check_cache_entries", "of" => of).set(entries as f64);
    }
}

/// A certificate is served that ends then.
pub fn certificate(ends: Timestamp) {
    metrics::gauge!("daypass_tls_certificate_not_after_timestamp_seconds").set(seconds(ends.millis()));
}

/// A batch of a job was carried out.
pub fn batch(job: &str, took: Duration) {
    metrics::histogram!("daypass_maintenance_batch_duration_seconds", "task" => job.to_owned()).record(took);
}

/// This process took the lease of a job, or gave it back.
pub fn lease(job: &'static str, held: bool) {
    metrics::gauge!("daypass_maintenance_lease_held", "task" => job).set(f64::from(u8::from(held)));
}

/// How the jobs are doing, by what all replicas know.
pub fn health(all: &[Health], now: Timestamp) {
    for health in all {
        let job = health.scheduled.job.name();
        // One that never succeeded has no age; nothing would be a lie, and no series no alert.
        let age = health.succeeded_at().map_or(f64::INFINITY, |at| seconds(now.millis_since(at)));
        metrics::gauge!("daypass_maintenance_last_success_age_seconds", "task" => job).set(age);
        if let Some(backlog) = health.last.as_ref().and_then(|run| run.backlog) {
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a double")]
            metrics::gauge!("daypass_purge_backlog").set(backlog as f64);
        }
    }
}

/// Makes the counters that alerts rest on, at zero: one that appears with its first event hides that one. The label is not `job`,
/// which Prometheus gives a meaning of its own.
fn begin_at_zero() {
    for (job, outcome) in Job::ALL.into_iter().flat_map(|job| Outcome::iter().map(move |outcome| (job, outcome))) {
        metrics::counter!("daypass_maintenance_runs_total", "task" => job.name(), "outcome" => outcome.to_value())
            .absolute(0);
    }
    for outcome in LOGINS {
        metrics::counter!("daypass_logins_total", "outcome" => outcome).absolute(0);
    }
}

fn seconds(millis: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "exact for longer than anything of ours lasts")]
    let millis = millis as f64;
    millis / 1000.0
}

/// A run ended.
pub fn run_finished(run: &Run) {
    let outcome = run.outcome.map(|outcome| outcome.to_value()).unwrap_or_default();
    metrics::counter!("daypass_maintenance_runs_total", "task" => run.job.clone(), "outcome" => outcome.clone())
        .increment(1);
    if run.job == Job::Purge.name() {
        let deleted =
            [("expired", run.deleted_expired), ("revoked", run.deleted_revoked), ("other", run.deleted_other)];
        for (reason, deleted) in deleted {
            metrics::counter!("daypass_purge_deleted_total", "reason" => reason).increment(deleted.unsigned_abs());
        }
    }
    let (job, deleted) = (&run.job, run.deleted());
    let took = run.finished_at.map(|end| end.millis_since(run.started_at));
    if matches!(run.outcome, Some(Outcome::Failed | Outcome::Clock)) {
        tracing::error!(job, run_id = %run.id, error = run.error, deleted, "maintenance did not do its work");
    } else if run.outcome == Some(Outcome::LostLease) {
        tracing::warn!(job, run_id = %run.id, deleted, "another took over: this process was not heard of for too long");
    } else if deleted > 0 {
        tracing::info!(job, run_id = %run.id, outcome, deleted, duration_ms = took, backlog = run.backlog, "maintenance");
    } else {
        tracing::debug!(job, run_id = %run.id, outcome, "maintenance: nothing to do");
    }
}
