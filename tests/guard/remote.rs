//! `examples/remote.rs`: a Daypass elsewhere, asked by introspection.

use std::{path::Path, process::Command, time::Duration};

use serde_json::json;

use crate::{
    process::{Served, daypass, json_of},
    service::{PASSWORD, command, example, is, issue, let_in_and_refused, orders, set_up},
};

/// A Daypass, and the credentials of a client that may introspect.
pub fn daypass_and_client(folder: &Path) -> (Served, String, String) {
    set_up(folder);
    let made = command(folder, &["client", "add", "shop", "--scope", "daypass:introspect", "--json"], "");
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (Served::start(folder, &mut daypass(folder)), text("client_id"), text("client_secret"))
}

pub fn remote(folder: &Path, url: &str, client_id: &str, secret: &str) -> Command {
    let mut command = example("remote", folder);
    command.env("DAYPASS_URL", url).env("DAYPASS_CLIENT_ID", client_id).env("DAYPASS_CLIENT_SECRET", secret);
    command
}

#[test]
fn it_lets_in_whom_it_should() {
    let (folder, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (daypass, id, secret) = daypass_and_client(folder.path());
    let served =
        Served::start(own.path(), &mut remote(own.path(), &format!("http://{}", daypass.address), &id, &secret));
    let_in_and_refused(&served, folder.path());
}

#[test]
fn a_revocation_is_seen_within_five_seconds_and_a_daypass_that_is_away_is_503() {
    let (folder, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut daypass, id, secret) = daypass_and_client(folder.path());
    let served =
        Served::start(own.path(), &mut remote(own.path(), &format!("http://{}", daypass.address), &id, &secret));
    let login = daypass.post_json("/v1/login", &json!({ "username": "alice", "password": PASSWORD }));
    let revoked = json_of(&login)["token"].as_str().unwrap().to_owned();
    is(&orders(&served, &revoked), 200, &["Orders of alice"]);
    let logout = daypass.request(&format!("POST /v1/logout HTTP/1.1\r\nAuthorization: Bearer {revoked}"), "");
    is(&logout, 204, &[]);
    // That is what `keep` promises, however slow the machine is.
    std::thread::sleep(Duration::from_secs(5));
    is(&orders(&served, &revoked), 401, &["error=\"invalid_token\"", "urn:problem-type:daypass:token-inactive"]);

    let known = issue(folder.path(), &["--scope", "orders:read"]);
    let unknown = issue(folder.path(), &["--scope", "orders:read"]);
    is(&orders(&served, &known), 200, &[]);
    daypass.signal("TERM");
    assert!(daypass.wait().success());
    is(&orders(&served, &unknown), 503, &["retry-after: 1\r\n", "application/problem+json"]);
    std::thread::sleep(Duration::from_secs(5));
    is(&orders(&served, &known), 503, &["retry-after: 1\r\n"]);
    is(&served.request("GET /orders HTTP/1.1", ""), 401, &[]);
    is(&served.request("GET /hello HTTP/1.1", ""), 200, &[]);
}

/// Credentials that do not work are the service's own mistake, of which its clients know nothing.
#[test]
fn a_wrong_secret_is_503_too() {
    let (folder, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (daypass, id, _) = daypass_and_client(folder.path());
    let url = format!("http://{}", daypass.address);
    let served = Served::start(own.path(), &mut remote(own.path(), &url, &id, "wrong"));
    let token = issue(folder.path(), &["--scope", "orders:read"]);
    is(&orders(&served, &token), 503, &["retry-after: 1\r\n"]);
}
