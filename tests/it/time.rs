//! Clocks that are set, clocks that disagree, and a process that is held up. What `libfaketime` is needed for runs in `tests/run`.

use std::{
    fs,
    path::Path,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use daypass::clock::Clock;
use sea_orm::{SqliteTransactionMode, TransactionOptions, TransactionTrait};
use serde_json::{Value, json};

use crate::{
    replicas::{NEVER, command, connect, faketime, filled, has_deleted, purges, serve_with, started, status, token},
    support::{
        database::Database,
        process::{Served, json_of},
        rows::fill,
    },
};

/// A service by another clock, which `set` sets; time goes by for it as for everybody.
fn faked(folder: &Path, database: &Database) -> Command {
    set(folder, "+0");
    let mut command = command(folder, database);
    command
        .env("LD_PRELOAD", faketime().with_file_name("libfaketimeMT.so.1"))
        .env("FAKETIME_TIMESTAMP_FILE", folder.join("clock"))
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("DAYPASS_MAINTENANCE__RETAIN_EXPIRED", "0s")
        .env("DAYPASS_MAINTENANCE__RETAIN_REVOKED", "0s");
    for job in ["PURGE", "CHANGES", "COUNTERS", "ROTATIONS", "HISTORY", "SQLITE"] {
        command.env(format!("DAYPASS_MAINTENANCE__{job}_SCHEDULE"), "* * * * * *");
    }
    command
}

fn set(folder: &Path, offset: &str) {
    // At once, or half of it would be read.
    fs::write(folder.join("clock.new"), offset).unwrap();
    fs::rename(folder.join("clock.new"), folder.join("clock")).unwrap();
}

fn issue(served: &Served, admin: &Value, ttl: i64) -> Value {
    let session = admin["token"].as_str().unwrap();
    let head = format!("POST /v1/tokens HTTP/1.1\r\nAuthorization: {session}\r\nContent-Type: application/json");
    json_of(&served.request(&head, &json!({ "ttl": ttl }).to_string()))
}

fn revoke(served: &Served, token: &Value) {
    let secret = token["token"].as_str().unwrap();
    let revoked = served.request(&format!("DELETE /v1/tokens/current HTTP/1.1\r\nAuthorization: {secret}"), "");
    assert!(revoked.starts_with("HTTP/1.1 204"), "{revoked}");
}

fn readiness(served: &Served) -> Value {
    json_of(&served.request("GET /readyz HTTP/1.1", ""))
}

/// A part of readiness, once it is so.
fn until_part(served: &Served, name: &str, wanted: &str) -> Value {
    served.until(|| {
        let part = readiness(served)["parts"].as_array().unwrap().iter().find(|part| part["name"] == name).cloned();
        part.filter(|part| part["status"] == wanted)
    })
}

/// Waits until the purge does its work. (Runs by a clock that was ahead stay the newest in the list.)
fn until_purged(served: &Served, admin: &Value) {
    let before = purges(served, admin);
    served.until(|| {
        let runs = purges(served, admin);
        let new = |run: &&Value| !before.iter().any(|old| old["id"] == run["id"]);
        runs.iter().filter(new).any(|run| run["outcome"] == "done").then_some(())
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run tests/run: it needs libfaketime"]
async fn f6_a_clock_that_is_set_ahead_and_back_costs_no_token_and_revives_none() {
    let database = Database::create().await;
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), &mut faked(folder.path(), &database));
    let admin = token(&served);
    started(&served, &admin);
    let (long, short, over, revoked) =
        (issue(&served, &admin, 8_000_000), issue(&served, &admin, 1_800), issue(&served, &admin, 1), token(&served));
    revoke(&served, &revoked);
    let db = connect(&database).await;
    // The first of them ends after this test does, and before the clock is set ahead to.
    fill(&db, Clock::System.now().plus_seconds(600), 0, 100).await;
    let rows = filled(&db).await;
    sleep(Duration::from_secs(1));
    let statuses = || [&long, &short, &over, &revoked].map(|token| status(&served, token));
    let part = if database.url().starts_with("sqlite:") { "maintenance" } else { "clock" };
    for (offset, right) in [("+3600", ["200", "401", "401", "401"]), ("+315360000", ["401", "401", "401", "401"])] {
        set(folder.path(), offset);
        assert_eq!(statuses(), right, "{offset}: by that clock");
        // A part that is well says nothing; maintenance ails once a run was refused.
        let told = served.until(|| {
            let parts = readiness(&served)["parts"].clone();
            parts.as_array().unwrap().iter().find(|found| found["name"] == part && found["status"] != "ok").cloned()
        });
        assert!(told["detail"].is_string(), "{told}");
        // Time for the schedule to come round.
        sleep(Duration::from_secs(4));
        assert_eq!(filled(&db).await, rows, "what works by the right clock is never deleted");
        set(folder.path(), "+0");
        assert_eq!(statuses(), ["200", "200", "401", "401"], "what was over is over, and what worked works");
    }
    until_purged(&served, &admin);
    until_part(&served, part, "ok");

    set(folder.path(), "-3600");
    let [.., over, revoked] = statuses();
    assert_eq!((over.as_str(), revoked.as_str()), ("401", "401"), "what was over is not revived");
    set(folder.path(), "+0");
    assert_eq!(statuses(), ["200", "200", "401", "401"]);
    until_purged(&served, &admin);
    assert_eq!(filled(&db).await, rows);
    assert_eq!(issue(&served, &admin, 60)["state"], "active");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run tests/run: it needs libfaketime"]
async fn f6b_a_replica_whose_clock_is_off_says_so_and_is_taken_out_beyond_30_seconds() {
    let database = Database::create().await;
    if database.url().starts_with("sqlite:") {
        // There the clock is the only one there is.
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut command = faked(folder.path(), &database);
    set(folder.path(), "+5");
    let served = Served::start(folder.path(), &mut command);
    served.until(|| served.stderr().contains("ms ahead of the database's").then_some(()));
    let told = until_part(&served, "clock", "degraded");
    assert!(told["detail"].as_str().unwrap().ends_with("ms ahead of the database's"), "{told}");
    for (offset, direction) in [("+300", "ahead of"), ("-300", "behind")] {
        set(folder.path(), offset);
        let told = until_part(&served, "clock", "unavailable");
        assert!(told["detail"].as_str().unwrap().contains(direction), "{told}");
        assert!(served.request("GET /readyz HTTP/1.1", "").starts_with("HTTP/1.1 503"));
    }
    set(folder.path(), "+0");
    until_part(&served, "clock", "ok");
    served.until(|| served.stderr().contains("agrees with the database's again").then_some(()));
}

/// Stops a process, but never while it holds the one lock on an `SQLite` file: all others would wait for that in vain.
async fn stop(served: &Served, database: &Database) {
    let is_sqlite = database.url().starts_with("sqlite:");
    let mode = is_sqlite.then_some(SqliteTransactionMode::Immediate);
    let db = connect(database).await;
    let held = db
        .begin_with_options(TransactionOptions { sqlite_transaction_mode: mode, ..Default::default() })
        .await
        .unwrap();
    served.signal("STOP");
    served.until(|| served.is_stopped().then_some(()));
    held.rollback().await.unwrap();
}

/// A virtual machine that is paused, a laptop that is closed: the process wakes up in a world that went on. `tests/long stop`
/// holds it up for a minute; here it is as long as it takes until another takes over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f6c_a_process_that_was_held_up_believes_nothing_that_it_remembers() {
    let seconds = std::env::var("DAYPASS_TEST_STOP_SECONDS").map_or(16, |seconds| seconds.parse().unwrap());
    let database = Database::create().await;
    let every_second = [("PURGE_SCHEDULE", "* * * * * *"), ("BATCH_SIZE", "1")];
    let (_b, other) = serve_with(&database, &[NEVER]);
    let admin = token(&other);
    // Of the run that it makes when it starts it must be done before there is anything to purge.
    started(&other, &admin);
    let (_a, held_up) = serve_with(&database, &every_second);
    let (live, revoked) = (token(&held_up), token(&held_up));
    assert_eq!((status(&held_up, &live), status(&held_up, &revoked)), ("200".into(), "200".into()));
    let db = connect(&database).await;
    fill(&db, Clock::System.now(), 20_000, 100).await;
    other.until(|| {
        let under_way = |run: &Value| run["outcome"].is_null() && has_deleted(run);
        purges(&other, &admin).into_iter().find(under_way)
    });
    stop(&held_up, &database).await;
    let stopped = Instant::now();
    revoke(&other, &revoked);
    let fresh = token(&other);
    sleep(Duration::from_secs(seconds));
    // The heir takes over meanwhile.
    let is_lost = |run: &Value| run["outcome"] == "lost_lease";
    let lost = other.until(|| purges(&other, &admin).into_iter().find(is_lost));
    assert!(lost["error"].as_str().unwrap().contains("it was not heard of any more"), "{lost}");
    held_up.signal("CONT");
    assert_eq!(status(&held_up, &revoked), "401", "it was revoked {:?} ago", stopped.elapsed());
    assert_eq!((status(&held_up, &live), status(&held_up, &fresh)), ("200".into(), "200".into()));
    until_purged(&held_up, &admin);
    until_part(&held_up, "maintenance", "ok");
    // Its schedule goes on.
    until_purged(&held_up, &admin);
}
