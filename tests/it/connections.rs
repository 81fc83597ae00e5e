//! Connections: how many, and for how long.

use std::{
    io::{Read, Write},
    time::{Duration, Instant},
};

use crate::support::process::{Served, daypass};

/// A request that comes a byte at a time never comes.
#[test]
fn a_head_that_is_not_there_in_time_ends_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), &mut daypass(folder.path()));
    let (mut stream, began) = (served.connect(), Instant::now());
    for byte in b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ".iter().cycle() {
        if stream.write_all(&[*byte]).is_err() || began.elapsed() > Duration::from_secs(20) {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    let seconds = began.elapsed().as_secs();
    assert!((8..15).contains(&seconds), "it was open for {seconds} s");
}

#[test]
fn one_connection_carries_many_requests() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), &mut daypass(folder.path()));
    let mut stream = served.connect();
    for _ in 0..3 {
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nHEAD /v1/check HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        let mut answers = String::new();
        while answers.matches("HTTP/1.1 ").count() < 2 || !answers.ends_with("\r\n\r\n") {
            let mut piece = [0; 4096];
            let length = stream.read(&mut piece).unwrap();
            assert!(length > 0, "{answers}");
            answers.push_str(std::str::from_utf8(&piece[..length]).unwrap());
        }
        assert!(answers.starts_with("HTTP/1.1 200") && answers.contains("HTTP/1.1 401"), "{answers}");
    }
}

#[test]
fn beyond_the_most_connections_others_wait_for_one_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = daypass(folder.path());
    let served = Served::start(folder.path(), command.env("DAYPASS_LIMITS__MAX_CONNECTIONS", "10"));
    // What was connected to see whether it listens has ended by then, or takes a place until it has.
    assert!(served.request("GET /healthz HTTP/1.1", "").starts_with("HTTP/1.1 200"));
    let mut open: Vec<_> = (0..10).map(|_| served.connect()).collect();
    for stream in &mut open {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        stream.read_exact(&mut [0; 12]).unwrap();
    }
    let mut waiting = served.connect();
    waiting.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    waiting.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let early = waiting.read(&mut [0; 12]);
    assert!(early.is_err(), "{early:?}");
    open.pop();
    waiting.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    waiting.read_exact(&mut [0; 12]).unwrap();
}
