//! A Daypass in a folder of its own, what its command line does there, and one of the examples.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use crate::process::{Served, daypass, run};

pub const PASSWORD: &str = "correct horse battery staple";

/// Runs `daypass` in this folder; what it printed.
pub fn command(folder: &Path, arguments: &[&str], input: &str) -> String {
    let output = run(daypass(folder).args(arguments), input);
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{arguments:?}: {out}{err}");
    out.trim().to_owned()
}

/// A new database with alice, who may read orders and write them.
pub fn set_up(folder: &Path) {
    command(folder, &["migrate", "up"], "");
    let add = ["user", "add", "alice", "--scope", "orders:read", "--scope", "orders:write", "--password-stdin"];
    command(folder, &add, PASSWORD);
}

/// A token of alice's, with these flags.
pub fn issue(folder: &Path, flags: &[&str]) -> String {
    command(folder, &[&["token", "issue", "--user", "alice"], flags].concat(), "")
}

/// Ends a token from the command line.
pub fn revoke(folder: &Path, token: &str) {
    let listed: serde_json::Value =
        serde_json::from_str(&command(folder, &["token", "list", "--json", "--user", "alice"], "")).unwrap();
    let hint = &token[token.len() - 4..];
    let found = listed.as_array().unwrap().iter().find(|listed| listed["hint"] == hint).unwrap();
    command(folder, &["token", "revoke", found["id"].as_str().unwrap()], "");
}

/// An example, to be started in this folder with an environment that only has what is given here.
pub fn example(name: &str, folder: &Path) -> Command {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_daypass")).parent().unwrap().join("examples").join(name);
    assert!(program.exists(), "{} is not built: cargo build --examples --features remote", program.display());
    let mut command = Command::new(program);
    command.current_dir(folder).env_clear();
    command.env("DAYPASS_PASSWORDS__MEMORY_KIB", "8").env("DAYPASS_PASSWORDS__ITERATIONS", "1");
    command
}

/// What the example answers to whoever wants to see the orders.
pub fn orders(served: &Served, token: &str) -> String {
    served.request(&format!("GET /orders HTTP/1.1\r\nAuthorization: Bearer {token}"), "")
}

#[track_caller]
pub fn is(answer: &str, status: u16, parts: &[&str]) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    for part in parts {
        assert!(answer.contains(part), "{part} is not in {answer}");
    }
}

/// What holds for both: who is let in, and what the others are told.
pub fn let_in_and_refused(served: &Served, folder: &Path) {
    is(&served.request("GET /hello HTTP/1.1", ""), 200, &["Anybody may read this."]);

    let reader = issue(folder, &["--scope", "orders:read"]);
    is(&orders(served, &reader), 200, &["Orders of alice"]);
    let bare = served.request(&format!("GET /orders HTTP/1.1\r\nAuthorization: {reader}"), "");
    is(&bare, 200, &["Orders of alice"]);

    let none = served.request("GET /orders HTTP/1.1", "");
    is(&none, 401, &["www-authenticate: Bearer realm=\"daypass\"\r\n", "application/problem+json"]);
    is(&orders(served, "nonsense"), 401, &["error=\"invalid_token\"", "application/problem+json"]);
    let twice = format!("GET /orders HTTP/1.1\r\nAuthorization: Bearer {reader}\r\nAuthorization: Bearer {reader}");
    is(&served.request(&twice, ""), 400, &["error=\"invalid_request\""]);
    let writer = issue(folder, &["--scope", "orders:write"]);
    is(&orders(served, &writer), 403, &["error=\"insufficient_scope\", scope=\"orders:read\""]);

    let began = Instant::now();
    let short = issue(folder, &["--scope", "orders:read", "--ttl", "3s"]);
    let at_once = orders(served, &short);
    assert!(at_once.starts_with("HTTP/1.1 200 ") || began.elapsed() >= Duration::from_secs(3), "{at_once}");
    // It was issued after `began`, and ends three seconds after that.
    std::thread::sleep(Duration::from_secs(3).saturating_sub(began.elapsed()) + Duration::from_millis(500));
    is(
        &served.until(|| Some(orders(served, &short)).filter(|answer| !answer.starts_with("HTTP/1.1 200"))),
        401,
        &["error=\"invalid_token\""],
    );
    assert!(began.elapsed() < Duration::from_secs(10), "a token of three seconds has worked for {:?}", began.elapsed());
}
