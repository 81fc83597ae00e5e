//! `POST /v1/login`, `GET /v1/me`, logging out.

use poem::http::Method;
use serde_json::json;

use crate::support::{PASSWORD, Service, days, seconds};

#[tokio::test]
async fn a_password_buys_a_session_token() {
    let service = Service::start().await;
    service.user("Alice", &["read", "write"]).await;
    let answer = service.login("alice", json!({ "name": "laptop" })).await;
    answer.is(200);
    assert_eq!(answer.header("cache-control"), "no-store");
    let token = answer.token();
    assert_eq!(token.len(), 64);
    assert!(token.starts_with("dps_"));
    let mut shown = answer.json();
    assert_eq!(shown["user"]["username"], "Alice");
    for member in ["token", "id", "user"] {
        shown.as_object_mut().unwrap().remove(member);
    }
    let expected = json!({
        "token_type": "Bearer",
        "kind": "session",
        "state": "active",
        "name": "laptop",
        "hint": &token[60..],
        "client_id": null,
        "scopes": ["read", "write"],
        "created_at": "2026-11-24T09:00:00.000Z",
        "expires_at": "2026-11-24T19:00:00.000Z",
        "expires_in": 36000,
        "max_expires_at": "2026-12-24T09:00:00.000Z",
        "idle_timeout": null,
        "last_used_at": null,
        "revoked_at": null,
        "limited_by": "ttl",
    });
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn a_form_and_http_basic_are_accepted_too() {
    let service = Service::start().await;
    service.user("alice", &["read", "write"]).await;
    let form = "username=alice&password=correct+horse%20battery+staple&ttl=60&scopes=read&name=form";
    let by_form = service.form("/v1/login", form).await;
    by_form.is(200);
    assert_eq!((by_form.member("expires_in"), by_form.member("scopes")), (json!(60), json!(["read"])));

    // base64 of `alice:correct horse battery staple`
    let basic = ("authorization", "Basic YWxpY2U6Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZQ==".to_owned());
    service.send(Method::POST, "/v1/login", std::slice::from_ref(&basic), "").await.is(200);
    let json = ("content-type", "application/json".to_owned());
    let with_body = service.send(Method::POST, "/v1/login", &[basic, json], r#"{"ttl": 90}"#).await;
    assert_eq!(with_body.is(200).member("expires_in"), 90);
}

/// A browser that is challenged with `Basic` asks in a window of its own, and the page's form hangs behind it.
#[tokio::test]
async fn only_who_came_with_http_basic_is_challenged_with_it() {
    let service = Service::start().await;
    service.user("alice", &[]).await;
    let by_json = service.login("alice", json!({ "password": "wrong" })).await;
    assert_eq!(by_json.is_problem(401).header("www-authenticate"), "Bearer realm=\"daypass\"");
    let by_form = service.form("/v1/login", "username=alice&password=wrong").await;
    assert_eq!(by_form.is_problem(401).header("www-authenticate"), "Bearer realm=\"daypass\"");
    // base64 of `alice:wrong`
    let basic = ("authorization", "Basic YWxpY2U6d3Jvbmc=".to_owned());
    let by_basic = service.send(Method::POST, "/v1/login", &[basic], "").await;
    assert_eq!(by_basic.is_problem(401).header("www-authenticate"), "Basic realm=\"daypass\", charset=\"UTF-8\"");
}

#[tokio::test]
async fn fewer_scopes_can_be_asked_for_but_not_more() {
    let service = Service::start().await;
    service.user("alice", &["read", "write"]).await;
    let fewer = service.login("alice", json!({ "scopes": ["read"] })).await;
    assert_eq!(fewer.is(200).member("scopes"), json!(["read"]));
    assert_eq!(service.login("alice", json!({ "scopes": [] })).await.is(200).member("scopes"), json!([]));
    service.login("alice", json!({ "scopes": ["read", "daypass:admin"] })).await.is_problem(403);
}

#[tokio::test]
async fn unknown_wrong_and_disabled_are_one_answer() {
    let service = Service::start().await;
    let admin = service.admin().await;
    service.user("alice", &[]).await;
    service.user("carol", &[]).await;
    let users = service.get("/v1/users", Some(&admin)).await.member("items");
    let carol = users.as_array().unwrap().iter().find(|user| user["username"] == "carol").unwrap()["id"].clone();
    let path = format!("/v1/users/{}", carol.as_str().unwrap());
    service.json(Method::PATCH, &path, Some(&admin), json!({ "disabled": true })).await.is(200);

    let wrong = service.post("/v1/login", None, json!({ "username": "alice", "password": "wrong" })).await;
    wrong.is_problem(401);
    for (name, password) in [("nobody", PASSWORD), ("carol", PASSWORD), ("not a name\u{202e}", PASSWORD), ("", "")] {
        let answer = service.post("/v1/login", None, json!({ "username": name, "password": password })).await;
        assert_eq!((answer.status, &answer.text), (wrong.status, &wrong.text), "{name}");
        assert_eq!(answer.header("www-authenticate"), wrong.header("www-authenticate"), "{name}");
    }
}

#[tokio::test]
async fn whoami_shows_the_user_and_the_token() {
    let service = Service::start().await;
    let token = service.session("alice", &["read"]).await;
    service.advance(seconds(5));
    let me = service.get("/v1/me", Some(&token)).await;
    me.is(200);
    assert_eq!(me.json()["user"]["username"], "alice");
    assert_eq!(me.json()["user"]["last_login_at"], "2026-11-24T09:00:00.000Z");
    assert_eq!(me.json()["token"]["expires_in"], 35995);
    assert_eq!(me.json()["token"]["last_used_at"], "2026-11-24T09:00:05.000Z");
}

#[tokio::test]
async fn logging_out_ends_the_presented_token_only() {
    let service = Service::start().await;
    let token = service.session("alice", &[]).await;
    let other = service.login("alice", json!({})).await.token();
    service.post("/v1/logout", Some(&token), json!({})).await.is(204);
    service.check(&token).await.is_problem(401);
    service.check(&other).await.is(200);
}

#[tokio::test]
async fn logging_out_everywhere_reaches_the_named_kinds() {
    let service = Service::start().await;
    let token = service.session("alice", &["read"]).await;
    let other = service.login("alice", json!({})).await.token();
    let api = service.issue(&token, json!({})).await.token();
    let bob = service.session("bob", &[]).await;
    assert_eq!(service.post("/v1/logout-all", Some(&token), json!({})).await.is(200).member("revoked"), 2);
    for ended in [&token, &other] {
        service.check(ended).await.is(401);
    }
    service.check(&api).await.is(200);
    let token = service.login("alice", json!({})).await.token();
    let all = service.post("/v1/logout-all?kinds=session,api", Some(&token), json!({})).await;
    assert_eq!(all.is(200).member("revoked"), 2);
    service.check(&api).await.is(401);
    service.check(&bob).await.is(200);
    service.post("/v1/logout-all?kinds=sessions", Some(&bob), json!({})).await.is_about(400, "kinds");
}

#[tokio::test]
async fn the_limit_on_a_users_tokens_is_kept() {
    let refusing = Service::with(|config| config.tokens.session.per_user_limit = 2).await;
    refusing.user("alice", &[]).await;
    let first = refusing.login("alice", json!({})).await.token();
    refusing.login("alice", json!({})).await.is(200);
    refusing.login("alice", json!({})).await.is_problem(409);
    refusing.post("/v1/logout", Some(&first), json!({})).await.is(204);
    refusing.login("alice", json!({})).await.is(200);
    refusing.advance(days(1));
    refusing.login("alice", json!({})).await.is(200);

    let evicting = Service::with(|config| {
        config.tokens.session.per_user_limit = 2;
        config.tokens.session.at_limit = daypass::config::AtLimit::EvictOldest;
    })
    .await;
    evicting.user("alice", &[]).await;
    let mut tokens = Vec::new();
    for _ in 0..3 {
        tokens.push(evicting.login("alice", json!({})).await.token());
        evicting.advance_ms(1);
    }
    evicting.check(&tokens[0]).await.is(401);
    evicting.check(&tokens[1]).await.is(200);
    evicting.check(&tokens[2]).await.is(200);
}

// base64 of `alice:correct horse battery staple`
const BASIC: &str = "Basic YWxpY2U6Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZQ==";

#[tokio::test]
async fn two_authorization_fields_are_one_too_many_whatever_they_are() {
    let service = Service::start().await;
    let token = service.session("alice", &[]).await;
    let json = ("content-type", "application/json".to_owned());
    let body = json!({ "username": "alice", "password": PASSWORD }).to_string();
    let bearer = format!("Bearer {token}");
    for (first, second) in [(BASIC, BASIC), (BASIC, &*bearer), (&*bearer, BASIC), (&*bearer, &*bearer), ("x", "y")] {
        let headers = [("authorization", first.to_owned()), ("authorization", second.to_owned()), json.clone()];
        let answer = service.send(Method::POST, "/v1/login", &headers, body.clone()).await;
        let challenge = answer.is_problem(400).header("www-authenticate");
        assert!(challenge.contains("error=\"invalid_request\""), "{first}, {second}: {challenge}");
    }
    // One of another scheme is an old token that the client sends along.
    service.send(Method::POST, "/v1/login", &[("authorization", bearer), json], body).await.is(200);
}

#[tokio::test]
async fn beside_http_basic_only_json_is_read() {
    let service = Service::start().await;
    service.user("alice", &[]).await;
    let basic = ("authorization", BASIC.to_owned());
    for media_type in ["application/x-www-form-urlencoded", "text/plain", ""] {
        let headers = [basic.clone(), ("content-type", media_type.to_owned())];
        service.send(Method::POST, "/v1/login", &headers, r#"{"ttl": 90}"#).await.is_problem(415);
        // Nothing has no type: clients that name one without sending anything mean no harm.
        service.send(Method::POST, "/v1/login", &headers, "").await.is(200);
    }
    service.send(Method::POST, "/v1/login", &[basic], r#"{"ttl": 90}"#).await.is_problem(415);
}
