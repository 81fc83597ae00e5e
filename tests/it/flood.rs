//! A flood of logins takes neither the memory nor the checks: the quick form of what is asked of the login door.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::support::process::{Served, daypass, json_of};

const PASSWORD: &str = "correct horse battery staple";
/// How many come at once.
const LOGINS: usize = 300;

#[test]
#[ignore = "tests/run runs it by itself: beside the others it would measure those"]
fn three_hundred_bad_logins_at_once_take_little_memory_and_let_checks_through() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = daypass(folder.path());
    // The cost that hashes have by default.
    command.env("DAYPASS_PASSWORDS__MEMORY_KIB", "19456").env("DAYPASS_PASSWORDS__ITERATIONS", "2");
    command.env("DAYPASS_LIMITS__LOGIN_PER_MINUTE_PER_IP", "0").env("DAYPASS_LIMITS__LOGIN_FAILURES_BEFORE_LOCK", "0");
    command.env("DAYPASS_ADMIN_PASSWORD", PASSWORD);
    let served = Served::start(folder.path(), &mut command);
    let login = served.post_json("/v1/login", &json!({ "username": "admin", "password": PASSWORD }));
    let token = json_of(&login)["token"].as_str().unwrap().to_owned();

    let mut checks = served.connect();
    // What checks take without a flood is this machine's noise, or its other work.
    let idle = p99((0..300).map(|_| check(&mut checks, &token)).collect());
    let before = served.resident_kib();
    // Checks that wait for hashes do so each time; a machine that stalls does not.
    let quick = |p99: &Duration| *p99 < Duration::from_millis(50) + idle;
    let mut during = Vec::new();
    while during.len() < 3 && !during.iter().any(quick) {
        let (most, times) = flood(&served, &mut checks, &token);
        assert!(most < before + 100 * 1024, "from {before} KiB to {most} KiB");
        assert!(times.len() > 50, "only {} checks were made beside the flood", times.len());
        during.push(p99(times));
    }
    assert!(during.iter().any(quick), "p99 of a check: {during:?}, without the flood {idle:?}");
}

/// The most memory, in KiB, that the service takes meanwhile, and how long each check takes.
fn flood(served: &Served, checks: &mut TcpStream, token: &str) -> (u64, Vec<Duration>) {
    let (mut most, mut times) = (0, Vec::new());
    let statuses: Vec<String> = thread::scope(|scope| {
        let logins: Vec<_> = (0..LOGINS)
            .map(|number| {
                scope.spawn(move || {
                    let body = json!({ "username": format!("nobody{number}"), "password": "wrong" });
                    served.post_json("/v1/login", &body)[9..12].to_owned()
                })
            })
            .collect();
        while logins.iter().any(|login| !login.is_finished()) {
            times.push(check(checks, token));
            most = most.max(served.resident_kib());
        }
        logins.into_iter().map(|login| login.join().unwrap()).collect()
    });
    assert!(statuses.iter().all(|status| ["401", "503"].contains(&&**status)), "{statuses:?}");
    // One core's hashing threads take 64 each at least: the flood was one.
    assert!(statuses.iter().filter(|status| *status == "401").count() >= 60, "{statuses:?}");
    (most, times)
}

/// How long a check takes, over a connection that stays.
fn check(connection: &mut TcpStream, token: &str) -> Duration {
    let began = Instant::now();
    // In one piece: the system holds a second one back until the first was acknowledged.
    let request = format!("GET /v1/check HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    connection.write_all(request.as_bytes()).unwrap();
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    // The answer's last member is its last text.
    while !answer.ends_with(b"}") {
        let read = connection.read(&mut piece).unwrap();
        assert!(read > 0, "the connection was closed");
        answer.extend_from_slice(&piece[..read]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    began.elapsed()
}

fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() * 99 / 100]
}
