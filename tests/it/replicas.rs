//! Several processes on one database, as they are run: what one of them changes, all of them see in time.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use daypass::clock::Clock;
use entity::token as tokens;
use sea_orm::{ColumnTrait, Database as Connect, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    PASSWORD,
    database::Database,
    process::{Served, daypass, json_of, run},
    rows::fill,
};

/// The promise: `check.max_staleness`, by default.
const STALENESS: Duration = Duration::from_secs(1);

pub(crate) fn command(folder: &Path, database: &Database) -> Command {
    let mut command = daypass(folder);
    command.env("DAYPASS_DATABASE_URL", database.url()).env("DAYPASS_ADMIN_PASSWORD", PASSWORD);
    command
}

pub(crate) fn serve(database: &Database) -> (TempDir, Served) {
    serve_with(database, &[])
}

/// With settings of `[maintenance]`.
pub(crate) fn serve_with(database: &Database, settings: &[(&str, &str)]) -> (TempDir, Served) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(folder.path(), database);
    for (key, value) in settings {
        command.env(format!("DAYPASS_MAINTENANCE__{key}"), value);
    }
    let served = Served::start(folder.path(), &mut command);
    (folder, served)
}

/// A schedule that does not come round while a test runs.
pub(crate) const NEVER: (&str, &str) = ("PURGE_SCHEDULE", "0 0 0 29 2 *");

pub(crate) async fn connect(database: &Database) -> DatabaseConnection {
    Connect::connect(database.url()).await.unwrap()
}

/// How many tokens are there that are of no user who exists: those that [`fill`] made.
pub(crate) async fn filled(db: &DatabaseConnection) -> u64 {
    tokens::Entity::find().filter(tokens::Column::Hint.eq("none")).count(db).await.unwrap()
}

/// The newest runs of the purge.
pub(crate) fn purges(served: &Served, admin: &Value) -> Vec<Value> {
    let token = admin["token"].as_str().unwrap();
    let ask = format!("GET /v1/maintenance/runs?job=purge&limit=200 HTTP/1.1\r\nAuthorization: {token}");
    json_of(&served.request(&ask, ""))["items"].as_array().unwrap().clone()
}

/// Waits for the run that each process makes when it starts. (It is left out where one of the schedule is under way then,
/// which does as well.)
pub(crate) fn started(served: &Served, admin: &Value) {
    served.until(|| purges(served, admin).iter().any(|run| run["outcome"] == "done").then_some(()));
}

/// Waits until every job has done that.
fn all_started(served: &Served, admin: &Value) {
    let ask = format!("GET /v1/maintenance HTTP/1.1\r\nAuthorization: {}", admin["token"].as_str().unwrap());
    served.until(|| {
        let jobs = json_of(&served.request(&ask, ""))["jobs"].as_array().unwrap().clone();
        jobs.iter().all(|job| job["last_success_at"].is_string()).then_some(())
    });
}

pub(crate) fn token(served: &Served) -> serde_json::Value {
    json_of(&served.post_json("/v1/login", &json!({ "username": "admin", "password": PASSWORD })))
}

pub(crate) fn status(served: &Served, token: &serde_json::Value) -> String {
    let token = token["token"].as_str().unwrap();
    let answer = served.request(&format!("GET /v1/check HTTP/1.1\r\nAuthorization: {token}"), "");
    answer["HTTP/1.1 ".len()..][..3].to_owned()
}

#[tokio::test]
async fn what_one_replica_revokes_the_other_refuses_within_a_second() {
    let database = Database::create().await;
    let (_a, one) = serve(&database);
    let (_b, other) = serve(&database);
    for _ in 0..3 {
        let token = token(&one);
        assert_eq!(status(&other, &token), "200");
        let authorization = token["token"].as_str().unwrap();
        let logout = one.request(&format!("POST /v1/logout HTTP/1.1\r\nAuthorization: {authorization}"), "");
        assert!(logout.starts_with("HTTP/1.1 204"), "{logout}");
        assert_eq!(status(&one, &token), "401", "where it was made it is seen at once");
        // The promise is about time, so time has to pass.
        sleep(STALENESS);
        assert_eq!(status(&other, &token), "401");
    }
}

#[tokio::test]
async fn what_the_command_line_changes_a_running_service_sees_within_a_second() {
    let database = Database::create().await;
    let (folder, served) = serve(&database);
    let token = token(&served);
    assert_eq!(status(&served, &token), "200");
    let id = token["id"].as_str().unwrap();
    let revoked = run(command(folder.path(), &database).args(["token", "revoke", id]), "");
    assert!(revoked.status.success(), "{revoked:?}");
    sleep(STALENESS);
    assert_eq!(status(&served, &token), "401");

    let issued = run(command(folder.path(), &database).args(["token", "issue", "--user", "admin"]), "");
    let issued = json!({ "token": String::from_utf8(issued.stdout).unwrap().trim() });
    assert_eq!(status(&served, &issued), "200");
    let disabled = run(command(folder.path(), &database).args(["user", "disable", "admin"]), "");
    assert!(disabled.status.success(), "{disabled:?}");
    sleep(STALENESS);
    assert_eq!(status(&served, &issued), "401");
}

/// Uses are kept in memory for a moment; stopping writes them.
#[tokio::test]
async fn the_last_uses_are_written_when_a_service_stops() {
    let database = Database::create().await;
    let (folder, mut served) = serve(&database);
    let token = token(&served);
    assert_eq!(status(&served, &token), "200");
    served.signal("TERM");
    assert!(served.wait().success());
    let id = token["id"].as_str().unwrap();
    let shown = run(command(folder.path(), &database).args(["token", "show", id, "--json"]), "");
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert!(shown[0]["last_used_at"].is_string(), "{shown}");
}

#[tokio::test]
async fn a_runner_that_is_killed_is_taken_over_within_15_s_and_no_live_token_is_lost() {
    let database = Database::create().await;
    let (_b, heir) = serve_with(&database, &[NEVER]);
    let admin = token(&heir);
    started(&heir, &admin);
    // One row a batch: it will not be done before it is killed.
    let (_a, mut runner) = serve_with(&database, &[("PURGE_SCHEDULE", "* * * * * *"), ("BATCH_SIZE", "1")]);
    let live: Vec<_> = (0..5).map(|_| token(&runner)).collect();
    let db = connect(&database).await;
    fill(&db, Clock::System.now(), 20_000, 500).await;
    let dead = heir.until(|| {
        let under_way = |run: &Value| run["outcome"].is_null() && has_deleted(run);
        purges(&heir, &admin).into_iter().find(under_way)
    });
    runner.signal("KILL");
    runner.wait();
    let killed = Instant::now();
    let new = heir.until(|| {
        purges(&heir, &admin).into_iter().find(|run| run["started_at"].as_str() > dead["started_at"].as_str())
    });
    assert!(killed.elapsed() < Duration::from_secs(15), "it took {:?}", killed.elapsed());
    assert_ne!(new["replica"], dead["replica"]);
    heir.until(|| {
        purges(&heir, &admin).iter().find(|run| run["id"] == new["id"] && run["outcome"] == "done").map(drop)
    });
    assert_eq!(filled(&db).await, 500, "all that was stale is gone, and nothing else");
    let closed = purges(&heir, &admin).into_iter().find(|run| run["id"] == dead["id"]).unwrap();
    assert_eq!(closed["outcome"], "lost_lease");
    assert!(closed["error"].as_str().unwrap().contains(new["replica"].as_str().unwrap()), "{closed}");
    for token in &live {
        assert_eq!(status(&heir, token), "200");
    }
}

/// On `SQLite` a command line that purges and a server that writes take turns by looking whether they may; elsewhere they need not.
#[tokio::test]
async fn a_server_goes_on_writing_while_a_command_line_purges() {
    let database = Database::create().await;
    let (folder, served) = serve_with(&database, &[NEVER]);
    let admin = token(&served);
    started(&served, &admin);
    let db = connect(&database).await;
    fill(&db, Clock::System.now(), 60_000, 0).await;
    let mut purge = command(folder.path(), &database);
    // Small batches: a run of some seconds.
    let mut purge = purge.env("DAYPASS_MAINTENANCE__BATCH_SIZE", "20").arg("purge").spawn().unwrap();
    let secret = admin["token"].as_str().unwrap();
    let issue = format!("POST /v1/tokens HTTP/1.1\r\nAuthorization: {secret}\r\nContent-Type: application/json");
    let mut slowest = Duration::ZERO;
    while purge.try_wait().unwrap().is_none() {
        let began = Instant::now();
        let issued = served.request(&issue, "{}");
        assert!(issued.starts_with("HTTP/1.1 201"), "{issued}");
        slowest = slowest.max(began.elapsed());
    }
    assert!(purge.wait().unwrap().success());
    assert_eq!(filled(&db).await, 0);
    assert!(slowest < Duration::from_secs(4), "a token waited for {slowest:?}");
}

/// Whether the record of a run under way tells of something.
pub(crate) fn has_deleted(run: &Value) -> bool {
    run["deleted"]["expired"].as_i64().unwrap() > 0
}

#[tokio::test]
async fn three_replicas_serve_each_time_of_the_schedule_once_and_delete_each_row_once() {
    let database = Database::create().await;
    let every_five = [("PURGE_SCHEDULE", "*/5 * * * * *"), ("BATCH_SIZE", "50")];
    let replicas: Vec<_> = (0..3).map(|_| serve_with(&database, &every_five)).collect();
    let served = &replicas[0].1;
    let admin = token(served);
    started(served, &admin);
    let db = connect(&database).await;
    fill(&db, Clock::System.now(), 3000, 100).await;
    let before = purges(served, &admin).len();
    let mut runs = served.until(|| {
        let runs = purges(served, &admin);
        let scheduled = runs.iter().rev().skip(before).filter(|run| run["trigger"] == "schedule").count();
        (scheduled >= 3 && runs.iter().all(|run| !run["outcome"].is_null())).then_some(runs)
    });
    // Their ids are of when they were asked for, and some had to wait.
    runs.sort_by(|one, other| one["started_at"].as_str().cmp(&other["started_at"].as_str()));
    let deleted: i64 = runs.iter().map(|run| run["deleted"]["expired"].as_i64().unwrap()).sum();
    assert_eq!((deleted, filled(&db).await), (3000, 100));
    let mut ticks = HashSet::new();
    for run in runs.iter().filter(|run| run["trigger"] == "schedule") {
        let at: entity::Timestamp = run["started_at"].as_str().unwrap().parse().unwrap();
        assert!(ticks.insert(at.millis() / 5000), "{run} serves what was served: {runs:#?}");
    }
    for pair in runs.windows(2) {
        assert!(pair[0]["finished_at"].as_str() <= pair[1]["started_at"].as_str(), "these overlap: {pair:?}");
    }
}

/// A library that shows a process another time; `tests/run` installs it.
pub(crate) fn faketime() -> PathBuf {
    let libraries = std::fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let found = libraries.map(|folder| folder.join("faketime/libfaketime.so.1")).find(|library| library.exists());
    found.expect("libfaketime is not installed: run tests/run")
}

#[tokio::test]
async fn a_replica_whose_clock_is_wrong_purges_nothing_and_says_so() {
    let database = Database::create().await;
    if database.url().starts_with("sqlite:") {
        // There the clock is the only one there is; see the tests of the purge for what is done then.
        return;
    }
    let (folder, served) = serve_with(&database, &[NEVER]);
    let admin = token(&served);
    let db = connect(&database).await;
    // Of them all: that of `history` would do away with the record of a run in the future.
    all_started(&served, &admin);
    fill(&db, Clock::System.now(), 10, 100).await;
    let mut wrong = command(folder.path(), &database);
    wrong.env("LD_PRELOAD", faketime()).env("FAKETIME", "+3d");
    let refused = run(wrong.arg("purge"), "");
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains("ms ahead of the database's"), "{said}");
    assert_eq!(purges(&served, &admin)[0]["outcome"], "clock");
    assert_eq!(filled(&db).await, 110);
    let ready = served.request("GET /readyz HTTP/1.1", "");
    assert!(ready.starts_with("HTTP/1.1 200") && ready.contains("degraded"), "{ready}");

    let behind =
        run(command(folder.path(), &database).arg("purge").env("LD_PRELOAD", faketime()).env("FAKETIME", "-3d"), "");
    let said = String::from_utf8(behind.stderr).unwrap();
    assert!(said.contains("ms behind the database's"), "{said}");
    let right = run(command(folder.path(), &database).arg("purge"), "");
    assert!(right.status.success(), "{right:?}");
    assert_eq!(filled(&db).await, 100);
}
