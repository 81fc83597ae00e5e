//! Requests that are no requests, or strange ones, as raw bytes over a socket: each gets a clear answer or none, and the next
//! one is answered all the same. Faults F10 and F17, bug 19.

use std::{
    collections::BTreeSet,
    io::{ErrorKind, Read, Write},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::support::{
    PASSWORD,
    process::{Served, daypass, json_of},
};

const LOGIN: &str = "POST /v1/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
/// A good body for it, but for the password.
const BODY: &str = r#"{"username":"admin","password":"b"}"#;
const LENGTH: usize = BODY.len();
/// What somebody behind a proxy would like to be taken for a request of its own.
const HIDDEN: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

fn start(folder: &Path) -> Served {
    let mut command = daypass(folder);
    command.env("DAYPASS_ADMIN_PASSWORD", PASSWORD);
    command.env("DAYPASS_LIMITS__LOGIN_PER_MINUTE_PER_IP", "0").env("DAYPASS_LIMITS__LOGIN_FAILURES_BEFORE_LOCK", "0");
    Served::start(folder, &mut command)
}

/// What these bytes are answered until the service closes; or until nothing has come for so long, and then the second is false.
fn answer_within(patience: Duration, served: &Served, bytes: impl AsRef<[u8]>) -> (String, bool) {
    let mut stream = served.connect();
    stream.set_read_timeout(Some(patience)).unwrap();
    // It may have closed before it was sent everything.
    drop(stream.write_all(bytes.as_ref()));
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    let closed = loop {
        match stream.read(&mut piece) {
            Ok(0) => break true,
            Ok(length) => answer.extend(&piece[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break false,
            Err(_) => break true,
        }
    };
    (String::from_utf8(answer).unwrap(), closed)
}

/// The same of what is expected to be closed: sooner than after the 10 s in which any connection is that sends no head.
fn answer_to(served: &Served, bytes: impl AsRef<[u8]>) -> (String, bool) {
    answer_within(Duration::from_secs(8), served, bytes)
}

/// One answer, of this status, and the connection is closed: whatever else was sent is not taken for a request.
fn is_refused(served: &Served, status: u16, bytes: impl AsRef<[u8]>) -> String {
    let shown = String::from_utf8_lossy(&bytes.as_ref()[..bytes.as_ref().len().min(300)]).into_owned();
    let (answer, closed) = answer_to(served, bytes);
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{shown:?}: {answer}");
    assert_eq!(answer.matches("HTTP/1.").count(), 1, "{shown:?}: {answer}");
    assert!(closed, "{shown:?}: {answer}");
    is_up(served);
    answer
}

fn is_up(served: &Served) {
    assert!(served.request("GET /healthz HTTP/1.1", "").starts_with("HTTP/1.1 200"));
}

#[test]
fn a_length_that_can_be_read_in_two_ways_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let served = start(folder.path());
    for length in [
        format!("Content-Length: 4\r\nContent-Length: {LENGTH}"),
        format!("Content-Length: {LENGTH}\r\nContent-Length: 4"),
        format!("Content-Length: {LENGTH}, {LENGTH}"),
        format!("Content-Length: +{LENGTH}"),
        "Content-Length: -1".to_owned(),
        "Content-Length: 99999999999999999999999".to_owned(),
        format!("Content-Length: 0x{LENGTH:x}"),
        "Content-Length:".to_owned(),
        "Transfer-Encoding: gzip".to_owned(),
        "Transfer-Encoding: xchunked".to_owned(),
        "Transfer-Encoding: chunked, identity".to_owned(),
        "Transfer-Encoding: \u{b}chunked".to_owned(),
        format!("Content-Length: {LENGTH}\r\nTransfer-Encoding: identity"),
    ] {
        is_refused(&served, 400, format!("{LOGIN}{length}\r\n\r\n{BODY}{HIDDEN}"));
    }
    // HTTP/1.0 had no chunks.
    let old = LOGIN.replace("HTTP/1.1", "HTTP/1.0");
    is_refused(&served, 400, format!("{old}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"));
}

/// RFC 9112 §6.3 lets the chunks count, and wants the connection closed after the answer.
#[test]
fn beside_chunks_a_length_counts_for_nothing_and_nothing_follows() {
    let folder = tempfile::tempdir().unwrap();
    let served = start(folder.path());
    for length in [4, LENGTH, 1000] {
        for both in [
            format!("Content-Length: {length}\r\nTransfer-Encoding: chunked"),
            format!("Transfer-Encoding: chunked\r\nContent-Length: {length}"),
        ] {
            is_refused(&served, 400, format!("{LOGIN}{both}\r\n\r\n0\r\n\r\n{HIDDEN}"));
            is_refused(&served, 401, format!("{LOGIN}{both}\r\n\r\n{LENGTH:x}\r\n{BODY}\r\n0\r\n\r\n{HIDDEN}"));
        }
    }
}

#[test]
fn a_chunk_of_a_size_that_is_none_ends_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    let served = start(folder.path());
    let chunked = format!("{LOGIN}Transfer-Encoding: chunked\r\n\r\n");
    let size = format!("{LENGTH:x}");
    for wrong in
        ["xyz", "-1", "fffffffffffffffff", "", " ", &format!(" {size}"), &format!("0x{size}"), &format!("{size}\n")]
    {
        let answer = is_refused(&served, 400, format!("{chunked}{wrong}\r\n{BODY}\r\n0\r\n\r\n{HIDDEN}"));
        assert!(json_of(&answer)["detail"].as_str().unwrap().contains("did not arrive whole"), "{wrong}: {answer}");
    }
    // More than the chunk should hold, a line that never ends, and trailers without end.
    is_refused(&served, 400, format!("{chunked}{size}\r\n{BODY}xx\r\n0\r\n\r\n{HIDDEN}"));
    is_refused(&served, 400, format!("{chunked}{size};{}\r\n{BODY}\r\n0\r\n\r\n{HIDDEN}", "a".repeat(200_000)));
    let trailers = "X: y\r\n".repeat(20_000);
    is_refused(&served, 400, format!("{chunked}{size}\r\n{BODY}\r\n0\r\n{trailers}\r\n{HIDDEN}"));
    // A size may be written in capitals, and be followed by what nobody knows (RFC 9112 §7.1.1).
    for right in [size.to_uppercase(), format!("{size};a=b")] {
        let close = chunked.replacen("\r\n", "\r\nConnection: close\r\n", 1);
        is_refused(&served, 401, format!("{close}{right}\r\n{BODY}\r\n0\r\n\r\n"));
    }
}

#[test]
fn a_head_that_is_none_is_400() {
    let folder = tempfile::tempdir().unwrap();
    let served = start(folder.path());
    for head in [
        "GET /healthz HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n",
        "GET /healthz HTTP/1.1\r\n Host: x\r\n",
        "GET /healthz HTTP/1.1\r\nHost : x\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length : 4\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nX\0: ab\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nX: a\u{7f}b\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\rX: y\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\n: y\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nX\r\n",
        "GET /health\0z HTTP/1.1\r\nHost: x\r\n",
        " GET /healthz HTTP/1.1\r\nHost: x\r\n",
        "GET  /healthz HTTP/1.1\r\nHost: x\r\n",
        "GET /healthz HTTP/1.2\r\nHost: x\r\n",
        "GET /healthz HTTP/2.0\r\nHost: x\r\n",
        "GET /healthz\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}",
    ] {
        is_refused(&served, 400, format!("{head}\r\n{HIDDEN}"));
    }
}

/// A line may end with LF alone (RFC 9112 §2.2), at its end and nowhere else.
#[test]
fn a_bare_line_feed_is_the_end_of_a_line_and_hides_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let served = start(folder.path());
    for head in [
        "GET /healthz HTTP/1.1\nHost: x\nConnection: close\n\n",
        "GET /healthz HTTP/1.1\r\nHost: x\nConnection: close\r\n\r\n",
    ] {
        is_refused(&served, 200, format!("{head}{HIDDEN}"));
    }
    is_refused(&served, 400, format!("GET /healthz HTTP/1.1\nHost: x\nTransfer-Encoding : chunked\n\n{HIDDEN}"));
}

/// RFC 9112 §3.2.
#[test]
fn a_host_is_there_once_and_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let served = start(folder.path());
    for path in ["/healthz", "/v1/check", "/nowhere"] {
        for host in [
            "",
            "Host: x\r\nHost: x\r\n",
            "Host: x\r\nhost: y\r\n",
            "Host: a b\r\n",
            "Host: a/b\r\n",
            "Host: u@\"x\r\n",
        ] {
            let answer =
                is_refused(&served, 400, format!("GET {path} HTTP/1.1\r\n{host}X-Request-Id: mine\r\n\r\n{HIDDEN}"));
            assert!(json_of(&answer)["detail"].as_str().unwrap().starts_with("Host must"), "{answer}");
            assert!(answer.contains("x-request-id: mine") && answer.contains("cache-control: no-store"), "{answer}");
        }
    }
    for host in ["", "127.0.0.1:8000", "[::1]:8000", "id.example.org", "my_host", "x%20y"] {
        is_refused(&served, 200, format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
    }
    let seen = served.stderr();
    assert!(seen.contains("\"request_id\":\"mine\"") && seen.contains("\"status\":400"), "{seen}");
}

#[test]
fn what_is_too_long_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let served = start(folder.path());
    let many = (0..10_000).map(|number| format!("X{number}: y\r\n")).collect::<Vec<_>>().concat();
    is_refused(&served, 431, format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{many}\r\n"));
    let long = "a".repeat(1_000_000);
    is_refused(&served, 431, format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX: {long}\r\n\r\n"));
    is_refused(&served, 431, format!("GET /v1/check HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {long}\r\n\r\n"));
    is_refused(&served, 414, format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", &long[..100 * 1024]));
    is_refused(&served, 414, format!("GET /v1/check?scope={} HTTP/1.1\r\nHost: x\r\n\r\n", &long[..100 * 1024]));
    // A long one that still fits is looked at, and found to be nothing.
    let close = "Host: x\r\nConnection: close\r\n\r\n";
    is_refused(&served, 404, format!("GET /{} HTTP/1.1\r\n{close}", &long[..60_000]));
    is_refused(&served, 401, format!("GET /v1/check HTTP/1.1\r\nAuthorization: Bearer {}\r\n{close}", &long[..60_000]));
    is_refused(&served, 405, format!("{} /healthz HTTP/1.1\r\n{close}", &long[..10_000]));
    let scopes = "scope=b&".repeat(7000);
    is_refused(&served, 401, format!("GET /v1/check?{scopes} HTTP/1.1\r\nAuthorization: Bearer b\r\n{close}"));
}

#[test]
fn bodies_that_are_large_in_another_way_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let served = start(folder.path());
    let post = |path: &str, kind: &str, body: &str| {
        served.request(&format!("POST {path} HTTP/1.1\r\nContent-Type: {kind}"), body)
    };
    let parameters = (0..10_000).map(|number| format!("{number:x}&")).collect::<Vec<_>>().concat();
    is_up(&served);
    let before = served.resident_kib();
    for path in ["/v1/login", "/api/login/", "/api-token-auth/", "/custom_login/", "/api/auth/login/"] {
        for deep in
            [format!("{{\"username\":{}", "[".repeat(60_000)), format!("{{\"username\":{}", "{\"a\":".repeat(12_000))]
        {
            let answer = post(path, "application/json", &deep);
            assert!(answer.starts_with("HTTP/1.1 400"), "{path}: {answer}");
        }
        let answer = post(path, "application/x-www-form-urlencoded", &parameters);
        assert!(answer.starts_with("HTTP/1.1 400"), "{path}: {answer}");
        // A form of 200 MB, in pieces that say nothing of what is to come: it is not read to its end.
        let piece = format!("10000\r\n{}\r\n", "x".repeat(64 * 1024));
        let mut stream = served.connect();
        let head = "Host: x\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked";
        stream.write_all(format!("POST {path} HTTP/1.1\r\n{head}\r\n\r\n").as_bytes()).unwrap();
        let sent = (0..3200).take_while(|_| stream.write_all(piece.as_bytes()).is_ok()).count();
        assert!(sent < 320, "{path}: it read {sent} pieces");
        is_up(&served);
    }
    let most = before + 32 * 1024;
    assert!(served.resident_kib() < most, "from {before} KiB to {} KiB", served.resident_kib());
}

#[test]
fn a_compressed_body_is_not_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let served = start(folder.path());
    for (coding, status) in [("gzip", 415), ("GZIP, identity", 415), ("br", 415), ("identity", 401), ("Identity", 401)]
    {
        let head = format!("POST /v1/login HTTP/1.1\r\nContent-Type: application/json\r\nContent-Encoding: {coding}");
        let answer = served.request(&head, BODY);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{coding}: {answer}");
        assert_eq!(answer.contains("accept-encoding: identity"), status == 415, "{answer}");
    }
}

/// RFC 9112 §3.2: what is asked for is the path, however it is written; a proxy this is not.
#[test]
fn targets_in_other_forms_are_understood_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let served = start(folder.path());
    let close = "HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    is_refused(&served, 200, format!("GET http://elsewhere.example/healthz {close}"));
    is_refused(&served, 401, format!("GET http://elsewhere.example/v1/check {close}"));
    is_refused(&served, 404, format!("GET http://elsewhere.example/ghost {close}"));
    for request in
        ["GET *", "OPTIONS *", "CONNECT elsewhere.example:443", "GET /../healthz", "GET /h\u{e9}", "GET /%00%zz"]
    {
        is_refused(&served, 404, format!("{request} {close}"));
    }
    is_refused(&served, 405, format!("TRACE /healthz {close}"));
}

#[test]
fn other_versions_are_answered_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let served = start(folder.path());
    let (answer, closed) = answer_to(&served, "GET /healthz HTTP/1.0\r\n\r\n");
    assert!(closed && answer.starts_with("HTTP/1.0 200") && answer.ends_with("{\"status\":\"ok\"}"), "{answer}");
    let kept = "GET /v1/check HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".repeat(2);
    let (answer, closed) = answer_within(Duration::from_secs(3), &served, kept);
    assert!(!closed && answer.matches("HTTP/1.0 401").count() == 2, "{answer}");
    let (answer, closed) = answer_to(&served, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    assert!(closed && answer.is_empty(), "{answer}");
    // An offer to go on in another protocol is one that need not be taken up (RFC 9110 §7.8).
    let offers =
        "Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c, websocket\r\nHTTP2-Settings: AAMAAABkAAQ\r\n";
    is_refused(&served, 200, format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{offers}\r\n"));
    is_up(&served);
}

/// RFC 9110 §10.1.1.
#[test]
fn who_waits_to_be_told_to_go_on_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let served = start(folder.path());
    let expecting =
        |length: usize| format!("{LOGIN}Content-Length: {length}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n");
    let mut stream = served.connect();
    stream.write_all(expecting(LENGTH).as_bytes()).unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(BODY.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    // One that need not be sent is refused before it is.
    is_refused(&served, 413, expecting(64 * 1024 + 1));
    let check = "POST /v1/check HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n";
    is_refused(&served, 401, check);
    let unread = format!("{LOGIN}Content-Encoding: gzip\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n");
    is_refused(&served, 415, unread);
}

/// Whoever is told that a body is too long hears it, though the service does not read all that was sent.
#[test]
fn a_body_that_is_refused_unread_is_answered_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let served = start(folder.path());
    for length in [64 * 1024 + 1, 200_000, 1_000_000] {
        for _ in 0..30 {
            let (answer, _) =
                answer_to(&served, format!("{LOGIN}Content-Length: {length}\r\n\r\n{}", " ".repeat(length)));
            assert!(answer.starts_with("HTTP/1.1 413"), "{length}: {answer}");
        }
    }
}

#[test]
fn requests_that_come_at_once_are_answered_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let served = start(folder.path());
    let close = "Connection: close\r\n";
    let both = |close: &str| {
        let length = LENGTH;
        format!("GET /v1/check HTTP/1.1\r\nHost: x\r\n\r\n{LOGIN}Content-Length: {length}\r\n{close}\r\n{BODY}")
    };
    let (answer, closed) = answer_to(&served, both("").repeat(50) + HIDDEN + &both(close) + HIDDEN);
    let statuses: Vec<_> = answer.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert!(closed && statuses.len() == 103, "{}", statuses.len());
    assert_eq!(statuses.iter().position(|status| *status == "200"), Some(100));
    assert_eq!(answer.matches("This needs a token").count(), 51);
    assert_eq!(answer.matches("the password is wrong").count(), 51);
}

/// Even two that are the same, and work.
#[test]
fn two_tokens_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let served = start(folder.path());
    let login = json_of(&served.post_json("/v1/login", &json!({ "username": "admin", "password": PASSWORD })));
    let token = login["token"].as_str().unwrap();
    let check = || served.request(&format!("GET /v1/check HTTP/1.1\r\nAuthorization: Bearer {token}"), "");
    assert!(check().starts_with("HTTP/1.1 200"));
    for (request, scheme) in [
        ("GET /v1/check", "Bearer "),
        ("GET /v1/me", "Bearer "),
        ("GET /v1/tokens", "Bearer "),
        ("POST /v1/tokens/current/renew", "Bearer "),
        ("DELETE /v1/tokens/current", "Bearer "),
        ("GET /v1/users", "Bearer "),
        ("GET /v1/clients", "Bearer "),
        ("GET /v1/maintenance", "Bearer "),
        ("POST /v1/logout", "Bearer "),
        ("POST /v1/logout-all", "Bearer "),
        ("GET /api/protected/", "Token "),
        ("GET /protected_view/", ""),
        ("POST /api/auth/logout/", "Token "),
        ("POST /api/auth/logoutall/", "Token "),
    ] {
        for second in [format!("Authorization: {scheme}{token}"), "authorization: Basic YTpi".to_owned()] {
            let head = format!("{request} HTTP/1.1\r\nAuthorization: {scheme}{token}\r\n{second}");
            let answer = served.request(&head, "");
            assert!(
                ["HTTP/1.1 400", "HTTP/1.1 401"].iter().any(|status| answer.starts_with(status)),
                "{request}: {answer}"
            );
        }
        let answer =
            served.request(&format!("{request} HTTP/1.1\r\nAuthorization: {scheme}{token}, {scheme}{token}"), "");
        assert!(
            ["HTTP/1.1 400", "HTTP/1.1 401"].iter().any(|status| answer.starts_with(status)),
            "{request}: {answer}"
        );
    }
    assert!(check().starts_with("HTTP/1.1 200"), "nobody was logged out");
}

/// Bug 19: HEAD is GET without a body, OPTIONS is answered by nobody and says what is, and neither does anything.
#[test]
fn head_and_options_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let served = start(folder.path());
    let login = json_of(&served.post_json("/v1/login", &json!({ "username": "admin", "password": PASSWORD })));
    let bearer = format!("Authorization: Bearer {}", login["token"].as_str().unwrap());
    let ask = |method: &str, path: &str| served.request(&format!("{method} {path} HTTP/1.1\r\n{bearer}"), "");
    let document = json_of(&ask("GET", "/openapi.json"));
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 30);
    let described = paths.iter().map(|(path, methods)| (path.as_str(), methods.get("get").is_some()));
    let pages = ["/", "/docs", "/console", "/openapi.json", "/openapi.yaml"].map(|path| (path, true));
    for (pattern, has_get) in described.chain(pages) {
        if pattern == "/v1/check" {
            continue;
        }
        let path: String =
            pattern.split('{').enumerate().fold(String::new(), |path, (at, part)| match part.split_once('}') {
                Some((_, rest)) if at > 0 => path + "019ab509-3a80-7c3e-9d12-4f5a6b7c8d9e" + rest,
                _ => path + part,
            });
        let (head, options) = (ask("HEAD", &path), ask("OPTIONS", &path));
        assert!(head.ends_with("\r\n\r\n"), "{path}: {head}");
        assert!(options.starts_with("HTTP/1.1 405") && options.contains("\r\nallow: "), "{path}: {options}");
        if has_get {
            let get = ask("GET", &path);
            assert_eq!(get.lines().next(), head.lines().next(), "{path}");
            let kind = |answer: &str| answer.lines().find(|line| line.starts_with("content-type")).map(str::to_owned);
            assert_eq!(kind(&get), kind(&head), "{path}");
            let allow = options.lines().find(|line| line.starts_with("allow: ")).unwrap();
            assert!(allow.contains("GET") && allow.contains("HEAD"), "{path}: {allow}");
        } else {
            assert!(head.starts_with("HTTP/1.1 405") && head.contains("\r\nallow: "), "{path}: {head}");
        }
    }
    let me = ask("GET", "/v1/me");
    assert!(me.starts_with("HTTP/1.1 200"), "the token still works: {me}");
    assert_eq!(json_of(&ask("GET", "/v1/tokens?state=active"))["items"].as_array().map(Vec::len), Some(1));
}

/// F17: without file descriptors nobody is let in, nothing spins, and it goes on when there are some again.
#[test]
fn without_descriptors_it_waits_and_then_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut limited = limited(folder.path(), "-n 40");
    limited.env("DAYPASS_ADMIN_PASSWORD", PASSWORD);
    let served = Served::start(folder.path(), &mut limited);
    let login = json_of(&served.post_json("/v1/login", &json!({ "username": "admin", "password": PASSWORD })));
    let check = format!("GET /v1/check HTTP/1.1\r\nAuthorization: Bearer {}", login["token"].as_str().unwrap());

    let mut open: Vec<_> = (0..100).map(|_| served.connect()).collect();
    served.until(|| served.stderr().contains("no connection can be taken at the moment").then_some(()));
    let (began, before) = (Instant::now(), cpu_ticks(&served));
    std::thread::sleep(Duration::from_secs(3));
    let ticks = cpu_ticks(&served) - before;
    // A hundred to the second: a loop without a rest would take all of them.
    assert!(ticks < 60, "{ticks} ticks in {:?}", began.elapsed());
    assert!(served.stderr().matches("no connection can be taken").count() < 40, "a few lines a second");

    // Who was let in before is answered as ever.
    open[0].write_all(HIDDEN.as_bytes()).unwrap();
    open[0].read_exact(&mut [0; 12]).unwrap();
    drop(open);
    assert!(served.request(&check, "").starts_with("HTTP/1.1 200"));
    let login = served.post_json("/v1/login", &json!({ "username": "admin", "password": PASSWORD }));
    assert!(login.starts_with("HTTP/1.1 200"), "{login}");
}

/// A limit that a process may raise itself is no limit.
#[test]
fn it_takes_all_the_descriptors_that_it_may_have() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), &mut limited(folder.path(), "-S -n 64"));
    let mut open: Vec<_> = (0..200).map(|_| served.connect()).collect();
    for stream in &mut open {
        stream.write_all(HIDDEN.as_bytes()).unwrap();
        stream.read_exact(&mut [0; 12]).unwrap();
    }
    drop(served);
    let served = Served::start(folder.path(), &mut limited(folder.path(), "-n 400"));
    served.until(|| served.stderr().contains("\"allowed\":300,\"descriptors\":400").then_some(()));
}

/// The program with a limit on what it may open.
fn limited(folder: &Path, limit: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit {limit} && exec \"$0\""), env!("CARGO_BIN_EXE_daypass")]);
    command.current_dir(folder).env_clear();
    let environment = daypass(folder);
    command.envs(environment.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

/// What it has used of processors, in hundredths of a second.
fn cpu_ticks(served: &Served) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", served.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    [11, 12].map(|at: usize| fields[at].parse::<u64>().unwrap()).iter().sum()
}

/// No secret that was sent is in a refusal or in the log.
#[test]
fn what_was_refused_is_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = daypass(folder.path());
    let served = Served::start(folder.path(), command.env("DAYPASS_LOG__LEVEL", "trace"));
    let mut answers = String::new();
    for request in [
        "GET /hunter2 HTTP/1.1\r\nHost: hunter2/hunter2\r\n\r\n",
        "GET /v1/check?hunter2 HTTP/1.1\r\nAuthorization: Bearer hunter2\r\n\r\n",
        "GET /hunter2 HTTP/1.1\r\nAuthorization : Bearer hunter2\r\n\r\n",
        "HUNTER2hunter2 /hunter2 HTTP/1.1\r\nHost: x\r\nContent-Encoding: hunter2\r\nContent-Length: 7\r\n\r\nhunter2",
        "POST /v1/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nhunter2\r\n",
    ] {
        answers += &answer_to(&served, request).0;
    }
    assert_eq!(answers.matches("HTTP/1.1 4").count(), 5, "{answers}");
    assert!(!answers.contains("hunter2") && !served.stderr().contains("hunter2"), "{answers}{}", served.stderr());
    is_up(&served);
}

/// Names, methods, paths and tokens that nobody has are many: none is a label of a metric, or a series of its own.
#[test]
fn ten_thousand_names_add_nothing_to_the_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let served = start(folder.path());
    let ask = |number: u32| {
        let post = |path: &str, media_type: &str, body: &str| {
            let length = body.len();
            format!(
                "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n{body}"
            )
        };
        let get = |head: &str| format!("{head}\r\nHost: x\r\n\r\n");
        match number % 8 {
            0 | 1 => post("/v1/login", "application/json", &format!(r#"{{"username":"u{number}","password":"x"}}"#)),
            2 => get(&format!("GET /p{number}/x HTTP/1.1")),
            3 => get(&format!("GET /v1/tokens/t{number} HTTP/1.1")),
            4 => {
                get(&format!("GET /v1/check/c{number}?scope=s{number} HTTP/1.1\r\nAuthorization: Bearer dps_{number}"))
            }
            5 => get(&format!("M{number} /healthz HTTP/1.1")),
            6 => {
                let form = format!("grant_type=g{number}&client_id=i{number}&client_secret=x&token=y");
                post("/oauth/token", "application/x-www-form-urlencoded", &form)
            }
            _ => get(&format!("GET /v1/clients/k{number} HTTP/1.1\r\nX-Request-Id: r{number}")),
        }
    };
    let mut numbers = 0..;
    let mut many = |count: usize| {
        for _ in 0..count / 100 {
            let requests: String = numbers.by_ref().take(99).map(ask).collect();
            let (answers, _) =
                answer_to(&served, requests + "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            assert_eq!(answers.matches("HTTP/1.1 ").count(), 100, "{answers}");
            assert_eq!(answers.matches("HTTP/1.1 5").count(), 0, "{answers}");
        }
    };
    let series = || -> BTreeSet<String> {
        let metrics = served.request("GET /metrics HTTP/1.1", "");
        let lines = metrics.lines().filter(|line| line.starts_with("daypass_"));
        lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
    };
    many(800);
    // What maintenance tells comes within seconds of the start.
    let before = served.until(|| {
        let (one, other) = (series(), series());
        let whole = one.iter().any(|line| line.starts_with("daypass_purge_backlog"));
        (whole && one == other).then_some(one)
    });
    many(10_000);
    let new: Vec<_> = series().difference(&before).filter(|line| !line.contains("task=")).cloned().collect();
    assert_eq!(new, Vec::<String>::new());
}

/// A line of the log is one event, whatever anybody sends: neither the ends of lines nor what terminals obey get into it.
#[test]
fn nobody_writes_a_line_of_the_log() {
    for format in ["json", "text"] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = daypass(folder.path());
        command.env("DAYPASS_LOG__LEVEL", "trace").env("DAYPASS_LOG__FORMAT", format);
        let served = Served::start(folder.path(), command.env("DAYPASS_ADMIN_PASSWORD", PASSWORD));
        let evil = "x\r\n2026-11-26T00:00:00Z forged\n\u{1b}[31mforged\u{85}\u{2028}forged";
        for _ in 0..6 {
            served.post_json("/v1/login", &json!({ "username": evil, "password": evil }));
        }
        let login = json_of(&served.post_json("/v1/login", &json!({ "username": "admin", "password": PASSWORD })));
        let bearer = format!("Authorization: Bearer {}", login["token"].as_str().unwrap());
        for (path, body) in [
            ("/v1/tokens", json!({ "name": evil })),
            ("/v1/users", json!({ "username": evil, "password": PASSWORD })),
            ("/v1/clients", json!({ "name": evil })),
            ("/v1/tokens", json!({ "user": evil })),
        ] {
            let head = format!("POST {path} HTTP/1.1\r\nContent-Type: application/json\r\n{bearer}");
            let answer = served.request(&head, &body.to_string());
            assert!(answer.starts_with("HTTP/1.1 422"), "{answer}");
        }
        for line in [
            "GET /%0d%0aforged%1b%5b31m HTTP/1.1",
            "GET /v1/check?scope=%0d%0aforged HTTP/1.1",
            "GET /healthz HTTP/1.1\r\nX-Request-Id: forged\tforged",
            "GET /healthz HTTP/1.1\r\nX-Forwarded-For: forged\tforged",
            "GET /v1/audit?event=%0aforged HTTP/1.1",
        ] {
            served.request(&format!("{line}\r\n{bearer}"), "");
        }
        served.until(|| served.stderr().contains("login_failed").then_some(()));
        let seen = served.stderr();
        assert!(!seen.contains("forged") && !seen.contains('\u{1b}'), "{format}: {seen}");
        let is_event = |line: &str| if format == "json" { line.starts_with('{') } else { line.starts_with("20") };
        let odd: Vec<_> = seen.lines().filter(|line| !is_event(line)).collect();
        assert_eq!(odd, Vec::<&str>::new(), "{format}");
    }
}
