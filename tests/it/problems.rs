//! What bad input gets: a 4xx that names what is wrong, and nothing else happens.

use base64::{Engine, prelude::BASE64_STANDARD};
use poem::http::Method;
use sea_orm::EntityTrait;
use serde_json::json;

use crate::support::{Answer, PASSWORD, Service};

async fn raw(service: &Service, token: &str, body: &str) -> Answer {
    let headers = [("authorization", format!("Bearer {token}")), ("content-type", "application/json".to_owned())];
    service.send(Method::POST, "/v1/tokens", &headers, body.to_owned()).await
}

#[tokio::test]
async fn what_cannot_be_read_is_400_and_says_where() {
    let service = Service::start().await;
    let token = service.session("alice", &[]).await;
    for broken in ["", "{", "nonsense", r#"{"name": "x""#, "\u{0}", r#"{"name": "x"} {}"#] {
        let answer = raw(&service, &token, broken).await;
        assert!(answer.is_problem(400).text_of("detail").contains("line 1"), "{broken}: {answer:?}");
    }
    for (wrong, field) in [
        (r#"{"name": 5}"#, "name"),
        (r#"{"name": true}"#, "name"),
        (r#"{"ttl": "x"}"#, "ttl"),
        (r#"{"ttl": 1.5}"#, "ttl"),
        (r#"{"ttl": [1]}"#, "ttl"),
        (r#"{"scopes": "read"}"#, "scopes"),
        (r#"{"scopes": ["read", 5]}"#, "scopes[1]"),
        (r#"{"name": "a", "name": "b"}"#, "name"),
        ("[]", "body"),
        ("5", "body"),
        ("null", "body"),
    ] {
        let answer = raw(&service, &token, wrong).await;
        answer.is_about(400, field);
    }
    let deep = "[".repeat(100_000).chars().take(60_000).collect::<String>();
    raw(&service, &token, &deep).await.is_problem(400);
    assert_eq!(service.get("/v1/tokens?kind=api", Some(&token)).await.member("items"), json!([]));
}

#[tokio::test]
async fn what_is_out_of_range_is_422_and_names_the_field() {
    let service = Service::start().await;
    let token = service.session("alice", &["read"]).await;
    for (wrong, field) in [
        (r#"{"ttl": 0}"#, "ttl"),
        (r#"{"ttl": -1}"#, "ttl"),
        (r#"{"ttl": 31536001}"#, "ttl"),
        (r#"{"ttl": 9223372036854775807}"#, "ttl"),
        (r#"{"ttl": 1e30}"#, "ttl"),
        (r#"{"ttl": 1000000000000000000000000000000}"#, "ttl"),
        (r#"{"ttl": -1e30}"#, "ttl"),
        (r#"{"idle_timeout": 59}"#, "idle_timeout"),
        (r#"{"idle_timeout": 31536001}"#, "idle_timeout"),
        (r#"{"scopes": ["a\"b"]}"#, "scopes[0]"),
        (r#"{"scopes": ["read", "a b"]}"#, "scopes[1]"),
        (r#"{"scopes": [""]}"#, "scopes[0]"),
        (r#"{"unknown": 1}"#, "unknown"),
        (r#"{"expires_at": "2030-01-01T00:00:00Z"}"#, "expires_at"),
    ] {
        raw(&service, &token, wrong).await.is_about(422, field);
    }
    assert_eq!(service.get("/v1/tokens?kind=api", Some(&token)).await.member("items"), json!([]));
    raw(&service, &token, r#"{"ttl": 60.0, "name": null}"#).await.is(201);
}

#[tokio::test]
async fn what_was_sent_is_not_repeated() {
    let service = Service::start().await;
    for body in [
        json!({ "username": "alice", "password": 31_415_926 }),
        json!({ "username": ["hunter2"], "password": "hunter2" }),
        json!({ "username": "alice", "password": { "hunter2": "hunter2" } }),
        json!("hunter2"),
    ] {
        let answer = service.post("/v1/login", None, body).await;
        answer.is_problem(400);
        assert!(!answer.text.contains("31415926") && !answer.text.contains("hunter2"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_missing_field_is_named() {
    let service = Service::start().await;
    service.post("/v1/login", None, json!({ "username": "alice" })).await.is_about(400, "password");
    service.post("/v1/tokens/revoke", None, json!({})).await.is_about(400, "tokens");
    service.form("/v1/login", "username=alice").await.is_about(400, "password");
    service.form("/v1/login", "username=alice&password=x&ttl=soon").await.is_about(400, "ttl");
    service.form("/v1/login", "username=alice&password=x&unknown=1").await.is_about(422, "unknown");
    service.form("/v1/login", "username=alice&username=bob&password=x").await.is_problem(400);
    service.form("/v1/login", "username=alice&password=%ff").await.is_problem(400);
}

#[tokio::test]
async fn another_media_type_is_415() {
    let service = Service::start().await;
    let token = service.session("alice", &[]).await;
    for media_type in ["text/plain", "application/xml", "", "application/jsonx", "multipart/form-data; boundary=x"] {
        let headers = [("authorization", format!("Bearer {token}")), ("content-type", media_type.to_owned())];
        service.send(Method::POST, "/v1/tokens", &headers, "{}").await.is_problem(415);
        service.send(Method::POST, "/v1/login", &headers[1..], "{}").await.is_problem(415);
    }
    let headers =
        [("authorization", format!("Bearer {token}")), ("content-type", "Application/JSON; charset=UTF-8".to_owned())];
    service.send(Method::POST, "/v1/tokens", &headers, "{}").await.is(201);
}

#[tokio::test]
async fn a_body_of_one_byte_too_many_is_413() {
    let service = Service::start().await;
    let most = 64 * 1024;
    let padded = |length: usize| {
        let body = json!({ "username": "alice", "password": "x" }).to_string();
        " ".repeat(length - body.len()) + &body
    };
    let headers = [("content-type", "application/json".to_owned())];
    service.send(Method::POST, "/v1/login", &headers, padded(most)).await.is_problem(401);
    service.send(Method::POST, "/v1/login", &headers, padded(most + 1)).await.is_problem(413);
    service.send(Method::POST, "/api/login/", &headers, padded(most + 1)).await.is(413);
}

#[tokio::test]
async fn a_password_of_1025_bytes_is_refused_before_it_is_hashed() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let long = "\u{e9}".repeat(512) + "x";
    let body = json!({ "username": "alice", "password": long });
    service.post("/v1/users", Some(&admin), body.clone()).await.is_about(422, "password");
    let change = json!({ "current_password": long, "new_password": "quiet rivers run deeper than most" });
    let answer = service.json(Method::PUT, "/v1/me/password", Some(&admin), change).await;
    answer.is_about(422, "current_password");
    service.post("/v1/login", None, body.clone()).await.is_about(422, "password");
    service.form("/v1/login", &format!("username=alice&password={}", "x".repeat(1025))).await.is_about(422, "password");
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("alice:{long}")));
    let by_basic = service.send(Method::POST, "/v1/login", &[("authorization", basic.clone())], "").await;
    by_basic.is_about(422, "password");
    service.post("/api/login/", None, body.clone()).await.is(401);
    service.post("/api-token-auth/", None, body.clone()).await.is(400);
    service.post("/custom_login/", None, body).await.is(401);
    service.send(Method::POST, "/api/auth/login/", &[("authorization", basic)], "").await.is(401);
    // Nothing was tried: an attempt is counted before the password is hashed.
    let attempt = entity::attempt::Entity::find().one(service.app.db.reader()).await.unwrap();
    assert!(attempt.is_none(), "{attempt:?}");
    service.post("/v1/login", None, json!({ "username": "alice", "password": "x".repeat(1024) })).await.is(401);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_too() {
    let service = Service::start().await;
    for path in ["/v1", "/v1/", "/v1/nothing", "/nothing", "/v1/tokens/a/b/c", "/v1/me/"] {
        let status = if path == "/v1/me/" { 401 } else { 404 };
        service.get(path, None).await.is_problem(status);
    }
    for (method, path, allow) in [
        (Method::DELETE, "/v1/tokens", "POST, GET, HEAD"),
        (Method::PUT, "/v1/tokens/019ab509-3a80-7c3e-9d12-4f5a6b7c8d9e", "GET, DELETE, HEAD"),
        (Method::GET, "/v1/login", "POST"),
        (Method::GET, "/v1/tokens/revoke", "POST"),
        (Method::TRACE, "/v1/me", "GET, HEAD"),
        (Method::POST, "/openapi.json", "GET, HEAD"),
        (Method::GET, "/custom_login/", "POST"),
        (Method::GET, "/custom_login", "POST"),
        (Method::DELETE, "/v1/tokens/", "POST, GET, HEAD"),
        (Method::DELETE, "//v1//tokens//", "POST, GET, HEAD"),
        (Method::POST, "/", "GET, HEAD"),
    ] {
        let answer = service.send(method, path, &[], "").await;
        assert_eq!(answer.is_problem(405).header("allow"), allow, "{path}");
    }
}

#[tokio::test]
async fn two_credentials_are_one_too_many() {
    let service = Service::start().await;
    let token = service.session("alice", &[]).await;
    let bearer = ("authorization", format!("Bearer {token}"));
    let answer = service.send(Method::GET, "/v1/me", &[bearer.clone(), bearer], "").await;
    assert!(answer.is_problem(400).header("www-authenticate").contains("error=\"invalid_request\""));
    for unreadable in ["Bearer a b", "Bearer caf\u{e9}"] {
        let header = [("authorization", unreadable.to_owned())];
        service.send(Method::GET, "/v1/me", &header, "").await.is_problem(400);
    }
}

#[tokio::test]
async fn an_expired_token_says_so_to_its_holder() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let token = service.issue(&admin, json!({ "ttl": 1 })).await.token();
    service.advance_ms(1000);
    let answer = service.get("/v1/me", Some(&token)).await;
    assert_eq!(answer.is_problem(401).member("type"), "urn:problem-type:daypass:token-expired");
    let challenge = "Bearer realm=\"daypass\", error=\"invalid_token\", error_description=\"the token has expired\"";
    assert_eq!(answer.header("www-authenticate"), challenge);
}

#[tokio::test]
async fn authentication_comes_before_the_body() {
    let service = Service::start().await;
    let headers = [("content-type", "application/json".to_owned())];
    service.send(Method::POST, "/v1/tokens", &headers, "{").await.is_problem(401);
    service.post("/v1/users", None, json!({ "username": "x", "password": PASSWORD })).await.is_problem(401);
}

#[tokio::test]
async fn a_request_id_is_taken_over_if_it_can_be_logged() {
    let service = Service::start().await;
    let ask = async |id: &str| {
        let headers = [("x-request-id", id.to_owned())];
        service.send(Method::GET, "/healthz", &headers, "").await.header("x-request-id").to_owned()
    };
    assert_eq!(ask("abc-123_x.y").await, "abc-123_x.y");
    // 64 characters are what a token has.
    for other in ["a b", "<script>", "caf\u{e9}", &"x".repeat(64)] {
        let (one, two) = (ask(other).await, ask(other).await);
        assert!(one.len() >= 18 && one != other && one != two, "{other}");
    }
}

#[tokio::test]
async fn a_list_is_no_object() {
    let service = Service::start().await;
    let session = service.session("alice", &[]).await;
    service.post("/v1/login", None, json!(["alice", PASSWORD])).await.is_about(400, "body");
    service.post("/v1/tokens", Some(&session), json!(["n", 60, null, null, null])).await.is_about(400, "body");
    service.post("/v1/tokens/current/renew", Some(&session), json!([5])).await.is_about(400, "body");
}

#[tokio::test]
async fn what_is_for_administrators_is_refused_before_its_body_is_read() {
    let service = Service::start().await;
    let session = service.session("alice", &[]).await;
    for body in [json!({}), json!({ "bad": 1 }), json!([])] {
        service.post("/v1/users", Some(&session), body).await.is_problem(403);
    }
}

/// 10^20 is a number like any other: too large, not unreadable.
#[tokio::test]
async fn a_number_beyond_every_type_is_out_of_range() {
    let service = Service::start().await;
    let session = service.session("alice", &[]).await;
    for limit in ["-1", "0", "201", "99999999999999999999", "-99999999999999999999"] {
        let answer = service.get(&format!("/v1/tokens?limit={limit}"), Some(&session)).await;
        assert!(!answer.is_about(422, "limit").text.contains("exclusive"), "{answer:?}");
    }
    let form = format!("username=alice&password={}&ttl=99999999999999999999", PASSWORD.replace(' ', "+"));
    service.form("/v1/login", &form).await.is_about(422, "ttl");
}
