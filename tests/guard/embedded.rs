//! `examples/embedded.rs`: a Daypass in the program's own process.

use std::time::Duration;

use serde_json::json;

use crate::{
    process::{Served, json_of},
    service::{PASSWORD, command, example, is, issue, let_in_and_refused, orders, revoke, set_up},
};

#[test]
fn it_lets_in_whom_it_should() {
    let folder = tempfile::tempdir().unwrap();
    set_up(folder.path());
    let served = Served::start(folder.path(), &mut example("embedded", folder.path()));
    let_in_and_refused(&served, folder.path());
}

/// What runs beside the answering of requests runs here too: the look at changes, the writing of uses, maintenance.
#[test]
fn it_is_a_replica_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    set_up(folder.path());
    command(folder.path(), &["user", "add", "root", "--admin", "--password-stdin"], PASSWORD);
    let mut served = Served::start(folder.path(), &mut example("embedded", folder.path()));
    let token = issue(folder.path(), &["--scope", "orders:read"]);
    for _ in 0..3 {
        is(&orders(&served, &token), 200, &[]);
    }
    // By another process, with which it shares nothing but the database: the use is written, the revocation seen.
    served.until(|| {
        let listed = command(folder.path(), &["token", "list", "--json", "--user", "alice"], "");
        let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
        (!listed[0]["last_used_at"].is_null()).then_some(())
    });
    revoke(folder.path(), &token);
    // `check.max_staleness`, which is a promise however slow the machine is.
    std::thread::sleep(Duration::from_secs(1));
    is(&orders(&served, &token), 401, &["the token has been revoked"]);

    // Its own operations are answered beside those of the program, and are seen at once.
    let login = |name: &str| {
        let login = served.post_json("/v1/login", &json!({ "username": name, "password": PASSWORD }));
        format!("Authorization: Bearer {}", json_of(&login)["token"].as_str().unwrap())
    };
    let session = login("alice");
    is(&served.request(&format!("GET /orders HTTP/1.1\r\n{session}"), ""), 200, &["Orders of alice"]);
    is(&served.request(&format!("GET /v1/check HTTP/1.1\r\n{session}"), ""), 200, &["remote-user: alice"]);
    is(&served.request(&format!("POST /v1/logout HTTP/1.1\r\n{session}"), ""), 204, &[]);
    is(&served.request(&format!("GET /orders HTTP/1.1\r\n{session}"), ""), 401, &["the token has been revoked"]);

    let root = login("root");
    served.until(|| {
        let runs = served.request(&format!("GET /v1/maintenance/runs?job=purge HTTP/1.1\r\n{root}"), "");
        (json_of(&runs)["items"][0]["outcome"] == "done").then_some(())
    });
    let ready = served.request("GET /readyz HTTP/1.1", "");
    is(&ready, 200, &[]);
    served.signal("INT");
    assert!(served.wait().success(), "{}", served.stderr());
}
