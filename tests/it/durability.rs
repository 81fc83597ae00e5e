//! What is acknowledged is on the disk by then, seen by the order of what the service asks of the operating system.

use std::{collections::HashSet, fs, path::Path, process::Command};

use serde_json::json;

use crate::support::{
    PASSWORD,
    process::{Served, daypass, json_of},
};

const CHANGES: usize = 40;

/// A service under `strace`, which writes what it sees to this file. It is the child that is traced, and not the other way round.
fn traced(folder: &Path, trace: &Path, durability: &str) -> Served {
    let program = daypass(folder);
    let mut strace = Command::new("strace");
    strace
        .args(["-D", "-f", "-y", "-qq", "-s", "16", "-e", "trace=fsync,fdatasync,write,writev,sendto,sendmsg", "-o"])
        .arg(trace)
        .arg(program.get_program())
        .current_dir(folder)
        .env_clear()
        .envs(program.get_envs().filter_map(|(key, value)| Some((key, value?))))
        .env("DAYPASS_ADMIN_PASSWORD", PASSWORD)
        .env("DAYPASS_DATABASE__SQLITE_DURABILITY", durability);
    Served::start(folder, &mut strace)
}

/// Makes changes one after the other, and tells before how many of the answers to them the log of the database was synced.
fn synced_before_the_answer(durability: &str) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let mut served = traced(folder.path(), &trace, durability);
    let login = served.post_json("/v1/login", &json!({ "username": "admin", "password": PASSWORD }));
    let session = json_of(&login)["token"].as_str().unwrap().to_owned();
    let ask = |line: &str| {
        let head = format!("{line} HTTP/1.1\r\nAuthorization: {session}\r\nContent-Type: application/json");
        served.request(&head, "{}")
    };
    let before = fs::read_to_string(&trace).unwrap().lines().count();
    for _ in 0..CHANGES {
        let issued = ask("POST /v1/tokens");
        assert!(issued.starts_with("HTTP/1.1 201"), "{issued}");
        let id = json_of(&issued)["id"].as_str().unwrap().to_owned();
        let revoked = ask(&format!("DELETE /v1/tokens/{id}"));
        assert!(revoked.starts_with("HTTP/1.1 204"), "{revoked}");
    }
    served.signal("KILL");
    served.wait();
    let trace = fs::read_to_string(&trace).unwrap();
    let (mut synced, mut answers, mut right) = (false, 0, 0);
    // A call that another thread interrupts is told in two lines, by the thread's number: it is done with the second.
    let mut syncing = HashSet::new();
    for line in trace.lines().skip(before) {
        let thread = line.split_whitespace().next().unwrap();
        let is_sync = line.contains(" fdatasync(") || line.contains(" fsync(");
        if is_sync && line.contains("daypass.db-wal") {
            if line.contains("unfinished") {
                syncing.insert(thread);
            } else {
                assert!(line.ends_with("= 0"), "{line}");
                synced = true;
            }
        } else if line.contains("sync resumed") && syncing.remove(thread) {
            assert!(line.ends_with("= 0"), "{line}");
            synced = true;
        } else if line.contains("\"HTTP/1.1 20") && !line.contains("resumed") {
            answers += 1;
            right += usize::from(std::mem::take(&mut synced));
        }
    }
    assert_eq!(answers, 2 * CHANGES, "{trace}");
    right
}

#[test]
#[ignore = "run tests/run: it needs strace"]
fn f1b_on_sqlite_the_log_is_on_the_disk_before_the_answer_is_sent() {
    assert_eq!(synced_before_the_answer("full"), 2 * CHANGES);
    // That this can be seen at all is shown by what does not promise it.
    assert!(synced_before_the_answer("normal") < CHANGES);
}

/// F17: a system that gives no random bytes gets no token out of it, and who has one is let in all the same.
#[test]
#[ignore = "run tests/run: it needs strace"]
fn f17_without_random_bytes_no_token_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), daypass(folder.path()).env("DAYPASS_ADMIN_PASSWORD", PASSWORD));
    let login =
        || served.post_json("/v1/login", &json!({ "username": "admin", "password": PASSWORD, "refresh": true }));
    let session = json_of(&login())["token"].as_str().unwrap().to_owned();
    let ask = |line: &str, body: &str| {
        let head = format!("{line} HTTP/1.1\r\nAuthorization: {session}\r\nContent-Type: application/json");
        served.request(&head, body)
    };
    let count = || json_of(&ask("GET /v1/tokens?limit=200", ""))["items"].as_array().unwrap().len();
    let mut strace = Command::new("strace")
        .args(["-f", "-qq", "-e", "inject=getrandom:error=EIO", "-o", "/dev/null", "-p", &served.id().to_string()])
        .spawn()
        .unwrap();
    // It takes a moment to take hold of every thread.
    let failing = served.until(|| Some(ask("POST /v1/tokens", "{}")).filter(|answer| answer.starts_with("HTTP/1.1 5")));
    assert!(!failing.contains("dpk_"), "{failing}");
    let held = count();
    for (line, body) in [
        ("POST /v1/tokens", "{}"),
        ("POST /v1/tokens/current/rotate", "{}"),
        ("POST /v1/clients", r#"{"name":"x"}"#),
        ("POST /v1/users", r#"{"username":"x","password":"quiet rivers run deep"}"#),
    ] {
        let answer = ask(line, body);
        assert!(answer.starts_with("HTTP/1.1 5") && !answer.contains("\"dp"), "{line}: {answer}");
    }
    assert!(login().starts_with("HTTP/1.1 5"));
    assert!(ask("GET /v1/check", "").starts_with("HTTP/1.1 200"));
    assert_eq!(count(), held);
    Command::new("kill").arg(strace.id().to_string()).status().unwrap();
    strace.wait().unwrap();
    assert!(ask("POST /v1/tokens", "{}").starts_with("HTTP/1.1 201"));
    assert!(served.stderr().contains("random"), "{}", served.stderr());
}
