//! [`Remote`] before servers that are no good Daypass: whatever they answer, a token is neither let in nor called bad for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use daypass::guard::{BadRemote, Guard, Remote, Settings};
use poem::{
    Endpoint, Response, endpoint,
    http::{StatusCode, header},
};

use crate::program::{presenting, serve, status};

const GOOD: &str = r#"{"active":true,"token_type":"Bearer","scope":"a b","exp":4102444800,
    "jti":"019ab509-3a80-7c3e-9d12-4f5a6b7c8d9e","sub":"019ab501-77c0-7a11-8f3b-2c4d5e6f7081","username":"alice"}"#;

fn json(body: impl Into<String>) -> Response {
    with(StatusCode::OK, body)
}

fn with(status: StatusCode, body: impl Into<String>) -> Response {
    Response::builder().status(status).content_type("application/json").body(body.into())
}

/// For an answer that comes.
const LONG: Duration = Duration::from_secs(10);

async fn guard(server: impl Endpoint + 'static, timeout: Duration) -> Guard {
    let settings = Settings { timeout, keep: Duration::ZERO, ..Settings::default() };
    Guard::new(&Remote::new(&serve(server).await, "shop", "secret", &settings).unwrap())
}

/// Asks a server that always answers this.
async fn told(response: impl Fn() -> Response + Send + Sync + 'static) -> u16 {
    status(&guard(endpoint::make_sync(move |_| response()), LONG).await, "dpk_any").await
}

#[tokio::test]
async fn what_is_as_it_should_be_is_believed() {
    assert_eq!(told(|| json(GOOD)).await, 200);
    assert_eq!(told(|| json(r#"{"active":false}"#)).await, 401);
    let charset = "application/json; charset=utf-8";
    assert_eq!(told(move || Response::builder().content_type(charset).body(GOOD)).await, 200);
}

#[tokio::test]
async fn an_answer_that_is_not_introspections_is_503() {
    for body in [
        "",
        "[]",
        "true",
        "{}",
        r#"{"active":"true"}"#,
        r#"{"active":1}"#,
        r#"{"active":null}"#,
        r#"{"active":true,"active":false}"#,
        r#"{"active":false"#,
    ] {
        assert_eq!(told(move || json(body)).await, 503, "{body}");
    }
    for (part, instead) in [
        (r#""exp":4102444800,"#, ""),
        ("4102444800", "\"tomorrow\""),
        ("\"jti\"", "\"x\""),
        ("\"sub\"", "\"x\""),
        ("019ab501-77c0-7a11-8f3b-2c4d5e6f7081", "alice"),
        ("a b", "a\\\"b"),
    ] {
        let changed = GOOD.replace(part, instead);
        assert_ne!(changed, GOOD);
        assert_eq!(told(move || json(changed.clone())).await, 503, "{part}");
    }
    assert_eq!(told(|| json(format!("{GOOD}{}", " ".repeat(70_000)))).await, 503, "too long");
    assert_eq!(told(|| Response::builder().content_type("text/plain").body(GOOD)).await, 503);
    assert_eq!(told(|| Response::builder().body(GOOD)).await, 503, "no media type");
}

#[tokio::test]
async fn only_200_is_an_answer_and_nothing_is_followed() {
    for code in [201, 203, 204, 206, 400, 401, 403, 404, 429, 500, 502, 503] {
        let status = StatusCode::from_u16(code).unwrap();
        assert_eq!(told(move || with(status, GOOD)).await, 503, "{code}");
    }
    let elsewhere = serve(endpoint::make_sync(|_| json(GOOD))).await;
    for code in [301, 302, 303, 307, 308] {
        let (status, elsewhere) = (StatusCode::from_u16(code).unwrap(), elsewhere.clone());
        let redirect = move || Response::builder().status(status).header(header::LOCATION, &elsewhere).body(GOOD);
        assert_eq!(told(redirect).await, 503, "{code}");
    }
}

/// RFC 7662 calls it active when the client that asks is the one that may trade it.
#[tokio::test]
async fn a_refresh_token_opens_nothing() {
    let refresh = GOOD.replace(r#""token_type":"Bearer","#, r#""kind":"refresh","#);
    assert_eq!(told(move || json(refresh.clone())).await, 401);
    assert_eq!(told(|| json(GOOD.replace("Bearer", "DPoP"))).await, 401, "it must not pass without its proof");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_answer_in_time_is_503_for_all_who_wait() {
    let silent = endpoint::make(|_| async {
        tokio::time::sleep(Duration::from_mins(1)).await;
        Ok::<_, poem::Error>(json(GOOD))
    });
    let guard = guard(silent, Duration::from_millis(500)).await;
    let began = std::time::Instant::now();
    let waiting = (0..20).map(|_| status(&guard, "dpk_any"));
    assert_eq!(futures_util::future::join_all(waiting).await, [503; 20]);
    assert!(began.elapsed() < Duration::from_secs(5), "they waited one after the other: {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_is_told_with_when_to_come_back_and_not_remembered() {
    let ailing = Arc::new(AtomicBool::new(true));
    let ails = Arc::clone(&ailing);
    let server =
        endpoint::make_sync(
            move |_| {
                if ails.load(Ordering::SeqCst) { with(StatusCode::BAD_GATEWAY, "") } else { json(GOOD) }
            },
        );
    let guard = guard(server, LONG).await;
    let answer = guard.admit(&presenting("dpk_any")).await.unwrap_err().to_http();
    assert_eq!((answer.status().as_u16(), &answer.headers()[header::RETRY_AFTER]), (503, &"1".parse().unwrap()));
    ailing.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(status(&guard, "dpk_any").await, 200);
}

#[tokio::test]
async fn a_token_that_is_longer_than_any_is_not_asked_about() {
    assert_eq!(told(|| json(GOOD)).await, 200);
    let guard = guard(endpoint::make_sync(|_| json(GOOD)), LONG).await;
    assert_eq!(status(&guard, &"x".repeat(4097)).await, 401);
}

#[test]
fn what_cannot_be_asked_is_refused_at_once() {
    let new = |url, id, secret| Remote::new(url, id, secret, &Settings::default()).err();
    for url in ["", "daypass", "ftp://x", "http://u@localhost", "http://localhost?a", "http://localhost#a", "unix:/x"] {
        assert!(matches!(new(url, "a", "b"), Some(BadRemote::Address)), "{url}");
    }
    for url in ["http://example.org", "http://10.0.0.1:8000", "http://[2001:db8::1]", "http://localhost.example.org"] {
        assert!(matches!(new(url, "a", "b"), Some(BadRemote::PlainHttp)), "{url}");
        let insecure = Settings { insecure_plain_http: true, ..Settings::default() };
        assert!(Remote::new(url, "a", "b", &insecure).is_ok(), "{url}");
    }
    for url in ["http://localhost:8000", "http://127.0.0.1:8000/", "http://[::1]:1/id/"] {
        assert!(new(url, "a", "b").is_none(), "{url}");
    }
    for (id, secret) in [("", "b"), ("a", ""), ("a:", "b"), ("a", "b\n")] {
        assert!(matches!(new("http://localhost", id, secret), Some(BadRemote::Credentials)), "{id}:{secret}");
    }
}
