//! Several processes on one database, as they are run: what one of them changes, all of them see in time.

use std::{path::Path, process::Command, thread::sleep, time::Duration};

use serde_json::json;
use tempfile::TempDir;

use crate::support::{
    PASSWORD,
    database::Database,
    process::{Served, daypass, json_of, run},
};

/// The promise: `check.max_staleness`, by default.
const STALENESS: Duration = Duration::from_secs(1);

fn command(folder: &Path, database: &Database) -> Command {
    let mut command = daypass(folder);
    command.env("DAYPASS_DATABASE_URL", database.url()).env("DAYPASS_ADMIN_PASSWORD", PASSWORD);
    command
}

fn serve(database: &Database) -> (TempDir, Served) {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), &mut command(folder.path(), database));
    (folder, served)
}

fn token(served: &Served) -> serde_json::Value {
    json_of(&served.post_json("/v1/login", &json!({ "username": "admin", "password": PASSWORD })))
}

fn status(served: &Served, token: &serde_json::Value) -> String {
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
