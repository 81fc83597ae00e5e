//! Token introspection (RFC 7662).

use entity::Timestamp;
use poem::http::Method;
use serde_json::{Value, json};

use super::{Client, basic, bearer, encoded};
use crate::support::{Answer, Service, seconds};

/// A service, and a client that may introspect.
async fn start() -> (Service, Client) {
    let service = Service::with_every_grant().await;
    let client = service.client(&["read", "daypass:introspect"]).await;
    (service, client)
}

#[tokio::test]
async fn i1_only_a_post_of_a_form_is_answered() {
    let (service, client) = start().await;
    let session = service.session("alice", &["read"]).await;
    service.introspect(&client, &session).await.is(200);
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE] {
        let path = format!("/oauth/introspect?token={session}");
        let answer = service.send(method, &path, &[client.basic()], "").await;
        assert_eq!(answer.is_error(405, "invalid_request").header("allow"), "POST");
    }
    let headers = [client.basic(), ("content-type", "application/json".to_owned())];
    let body = json!({ "token": session }).to_string();
    service.send(Method::POST, "/oauth/introspect", &headers, body).await.is_error(400, "invalid_request");
}

fn challenges(answer: &Answer) -> Vec<&str> {
    answer.headers.get_all("www-authenticate").iter().map(|value| value.to_str().unwrap()).collect()
}

#[tokio::test]
async fn i2_a_caller_who_is_nobody_is_401_with_the_challenges_that_fit() {
    let (service, client) = start().await;
    let session = service.session("alice", &["read"]).await;
    let form = [("token", session.as_str())];
    let nobody = service.oauth("/oauth/introspect", &[], &form).await;
    assert_eq!(
        challenges(nobody.is_error(401, "invalid_client")),
        ["Bearer realm=\"daypass\"", "Basic realm=\"daypass\""]
    );
    let wrong = service.oauth("/oauth/introspect", &[basic(&client.id, "wrong")], &form).await;
    assert_eq!(challenges(wrong.is_error(401, "invalid_client")), ["Basic realm=\"daypass\""]);
    let in_body = [form[0], ("client_id", &client.id), ("client_secret", "wrong")];
    let wrong = service.oauth("/oauth/introspect", &[], &in_body).await;
    assert_eq!(challenges(wrong.is_error(401, "invalid_client")), ["Basic realm=\"daypass\""]);
    let wrong = service.oauth("/oauth/introspect", &[bearer("dps_0")], &form).await;
    wrong.is_error(401, "invalid_token");
    assert!(challenges(&wrong)[0].starts_with("Bearer realm=\"daypass\", error=\"invalid_token\""), "{wrong:?}");
    let [id, secret] = client.in_body();
    service.oauth("/oauth/introspect", &[], &[form[0], id, secret]).await.is(200);
}

#[tokio::test]
async fn i3_a_caller_without_the_right_is_403() {
    let (service, client) = start().await;
    let session = service.session("alice", &["read"]).await;
    let (plain, form) = (service.session("bob", &["read"]).await, [("token", session.as_str())]);
    let answer = service.oauth("/oauth/introspect", &[bearer(&plain)], &form).await;
    let challenge = "Bearer realm=\"daypass\", error=\"insufficient_scope\", scope=\"daypass:introspect\"";
    assert_eq!(answer.is_error(403, "insufficient_scope").header("www-authenticate"), challenge);
    // To administer is not to introspect.
    let admin = service.admin().await;
    service.oauth("/oauth/introspect", &[bearer(&admin)], &form).await.is_error(403, "insufficient_scope");
    let ordinary = service.client(&["read"]).await;
    service.introspect(&ordinary, &session).await.is_error(403, "unauthorized_client");
    let server = service.session("server", &["daypass:introspect"]).await;
    let answer = service.oauth("/oauth/introspect", &[bearer(&server)], &form).await;
    assert_eq!(answer.is(200).member("active"), true);
    let own = [("grant_type", "client_credentials"), ("scope", "daypass:introspect")];
    let own = service.token(&client, &own).await.text_of("access_token");
    assert_eq!(service.oauth("/oauth/introspect", &[bearer(&own)], &form).await.is(200).member("active"), true);
}

#[tokio::test]
async fn i4_a_token_is_there_once() {
    let (service, client) = start().await;
    service.oauth("/oauth/introspect", &[client.basic()], &[]).await.is_error(400, "invalid_request");
    service.introspect(&client, "").await.is_error(400, "invalid_request");
    let session = service.session("alice", &["read"]).await;
    let double = [("token", session.as_str()), ("token", session.as_str())];
    service.oauth("/oauth/introspect", &[client.basic()], &double).await.is_error(400, "invalid_request");
}

#[tokio::test]
async fn i5_an_active_token_is_told_of_in_the_types_of_rfc_7662() {
    let (service, client) = start().await;
    service.user("alice", &["read", "write"]).await;
    let session = service.login("alice", json!({})).await;
    let answer = service.introspect(&client, &session.token()).await;
    let iat = service.now().millis() / 1000;
    let expected = json!({
        "active": true,
        "scope": "read write",
        "username": "alice",
        "token_type": "Bearer",
        "kind": "session",
        "exp": iat + 36_000,
        "iat": iat,
        "nbf": iat,
        "sub": session.json()["user"]["id"],
        "iss": "http://127.0.0.1:8000",
        "jti": session.member("id"),
    });
    assert_eq!(answer.is(200).json(), expected);
    let own = service.client_credentials(&client).await;
    let own = service.introspect(&client, &own).await.json();
    assert_eq!((&own["sub"], &own["client_id"], own.get("username")), (&json!(client.id), &json!(client.id), None));
    assert!(client.id.parse::<uuid::Uuid>().is_err(), "a client's id is no user's");
    let granted = service.password_grant(&client, "alice").await.text_of("access_token");
    let granted = service.introspect(&client, &granted).await.json();
    assert_eq!((&granted["client_id"], &granted["username"]), (&json!(client.id), &json!("alice")));
}

#[tokio::test]
async fn i6_what_does_not_work_is_inactive_and_nothing_else_is_told() {
    let (service, client) = start().await;
    let admin = service.admin().await;
    let session = service.session("alice", &["read"]).await;
    let brief = service.issue(&session, json!({ "ttl": 60 })).await.token();
    let (rotated, ended) = (service.issue(&session, json!({})).await, service.issue(&session, json!({})).await);
    let path = format!("/v1/tokens/{}", rotated.text_of("id"));
    service.post(&format!("{path}/rotate"), Some(&session), json!({})).await.is(200);
    service.delete(&format!("/v1/tokens/{}", ended.text_of("id")), Some(&session)).await.is(204);
    let disabled = service.session("bob", &["read"]).await;
    let id = service.check(&disabled).await.json()["user"]["id"].as_str().unwrap().to_owned();
    service.json(Method::PATCH, &format!("/v1/users/{id}"), Some(&admin), json!({ "disabled": true })).await.is(200);
    service.advance(seconds(60));
    let id = service.check(&session).await.text_of("id").parse().unwrap();
    let forged = daypass::token::secret::TokenSecret::generate("dp", daypass::token::Kind::Session, id).unwrap();
    let future = daypass::id::new(Timestamp::from_millis(service.now().millis() + 120_000));
    let future = daypass::token::secret::TokenSecret::generate("dp", daypass::token::Kind::Session, future).unwrap();
    let long = "x".repeat(60_000);
    let (rotated, ended) = (rotated.token(), ended.token());
    for token in [
        &brief,
        &rotated,
        &ended,
        &disabled,
        forged.expose(),
        future.expose(),
        "dps_0",
        "x",
        "\u{1f511}",
        "\0",
        &long,
        &client.secret,
        &format!("{session} "),
        &session.to_uppercase(),
    ] {
        let answer = service.introspect(&client, token).await;
        answer.is_inactive();
        let mut names: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
        names.sort();
        assert_eq!(names, ["cache-control", "content-type", "pragma", "x-content-type-options", "x-request-id"]);
    }
    assert_eq!(service.introspect(&client, &session).await.member("active"), true);
}

#[tokio::test]
async fn i7_exp_is_the_second_in_which_it_ends() {
    let (service, client) = start().await;
    let session = service.session("alice", &["read"]).await;
    service.advance_ms(999);
    let issued = service.issue(&session, json!({ "ttl": 60 })).await;
    let exp = service.introspect(&client, &issued.token()).await.member("exp").as_i64().unwrap();
    let end: Timestamp = issued.text_of("expires_at").parse().unwrap();
    assert_eq!(exp, end.millis() / 1000);
    assert_eq!(end.millis() % 1000, 999);
    service.advance_ms(59_999);
    assert_eq!(service.introspect(&client, &issued.token()).await.member("active"), true);
    service.advance_ms(1);
    service.introspect(&client, &issued.token()).await.is_inactive();
    // The secret that a rotation replaced ends before its token does.
    let issued = service.issue(&session, json!({})).await;
    let path = format!("/v1/tokens/{}/rotate", issued.text_of("id"));
    service.post(&path, Some(&session), json!({ "overlap": 60 })).await.is(200);
    let exp = service.introspect(&client, &issued.token()).await.member("exp").as_i64().unwrap();
    assert_eq!(exp, (service.now().millis() + 60_000) / 1000);
}

#[tokio::test]
async fn i8_a_hint_changes_nothing() {
    let (service, client) = start().await;
    service.user("alice", &["read"]).await;
    let granted = service.password_grant(&client, "alice").await;
    for hint in ["access_token", "refresh_token", "foo", ""] {
        for token in ["access_token", "refresh_token"] {
            let form = [("token", granted.text_of(token)), ("token_type_hint", hint.to_owned())];
            let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let answer = service.oauth("/oauth/introspect", &[client.basic()], &form).await;
            assert_eq!(answer.is(200).member("active"), true, "{token} {hint}");
        }
    }
}

#[tokio::test]
async fn i9_a_refresh_token_is_active_for_its_owner_and_is_no_bearer_token() {
    let (service, client) = start().await;
    let server = service.client(&["daypass:introspect"]).await;
    service.user("alice", &["read", "daypass:introspect"]).await;
    let refresh = service.password_grant(&client, "alice").await.text_of("refresh_token");
    let told = service.introspect(&client, &refresh).await.json();
    assert_eq!((&told["active"], &told["kind"], told.get("token_type")), (&json!(true), &json!("refresh"), None));
    assert_eq!((&told["client_id"], &told["username"]), (&json!(client.id), &json!("alice")));
    service.introspect(&server, &refresh).await.is_inactive();
    let (session, unbound) = service.login_with_refresh("alice").await;
    for client in [&client, &server] {
        service.introspect(client, &unbound).await.is_inactive();
    }
    let form = [("token", unbound.as_str())];
    assert_eq!(service.oauth("/oauth/introspect", &[bearer(&session)], &form).await.is(200).member("active"), true);
    let stranger = service.session("bob", &["daypass:introspect"]).await;
    service.oauth("/oauth/introspect", &[bearer(&stranger)], &form).await.is_inactive();
    service.refresh_as(&client, &refresh).await.is(200);
    service.introspect(&client, &refresh).await.is_inactive();
    service.check(&unbound).await.is(401);
}

#[tokio::test]
async fn i10_a_token_does_not_introspect_itself() {
    let (service, client) = start().await;
    let server = service.session("server", &["daypass:introspect"]).await;
    let form = [("token", server.as_str())];
    service.oauth("/oauth/introspect", &[bearer(&server)], &form).await.is_error(400, "invalid_request");
    assert_eq!(service.introspect(&client, &server).await.member("active"), true);
    // Nor does anybody authenticate twice.
    let [id, secret] = client.in_body();
    let form = [("token", "x"), id, secret];
    service.oauth("/oauth/introspect", &[bearer(&server)], &form).await.is_error(400, "invalid_request");
}

#[tokio::test]
async fn i11_a_database_that_is_away_is_503_and_never_inactive() {
    let (service, client) = start().await;
    let server = service.session("server", &["daypass:introspect"]).await;
    let session = service.session("alice", &["read"]).await;
    let other = service.session("bob", &["read"]).await;
    let ask = async |token: &str| service.oauth("/oauth/introspect", &[bearer(&server)], &[("token", token)]).await;
    ask(&session).await.is(200);
    service.app.db.close().await;
    // What is remembered is still answered truly, for as long as that may be.
    assert_eq!(ask(&session).await.is(200).member("active"), true);
    ask(&other).await.is_error(503, "temporarily_unavailable");
    service.introspect(&client, &session).await.is_error(503, "temporarily_unavailable");
    service.advance(seconds(2));
    ask(&session).await.is_error(503, "temporarily_unavailable");
}

#[tokio::test]
async fn i12_answers_are_not_for_a_cache() {
    let (service, client) = start().await;
    let session = service.session("alice", &["read"]).await;
    for token in [session.as_str(), "x"] {
        let answer = service.introspect(&client, token).await;
        assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
    }
}

/// Who may not introspect learns nothing by trying tokens: a right one and a wrong one are one answer.
#[tokio::test]
async fn i13_nobody_fishes_for_tokens() {
    let (service, client) = start().await;
    let session = service.session("alice", &["read"]).await;
    let plain = service.client(&["read"]).await;
    let callers = [vec![], vec![basic(&client.id, "wrong")], vec![plain.basic()], vec![bearer("dps_1")]];
    for caller in callers {
        let [right, wrong] = [session.as_str(), "dps_0"].map(|token| [("token", token)]);
        let right = service.oauth("/oauth/introspect", &caller, &right).await;
        let wrong = service.oauth("/oauth/introspect", &caller, &wrong).await;
        assert!(right.status == 401 || right.status == 403, "{right:?}");
        assert_eq!((right.status, right.text), (wrong.status, wrong.text));
    }
}

#[tokio::test]
async fn i14_plain_json_whatever_is_accepted() {
    let (service, client) = start().await;
    let session = service.session("alice", &["read"]).await;
    let headers = [client.basic(), ("accept", "application/token-introspection+jwt".to_owned())];
    let answer = service.oauth("/oauth/introspect", &headers, &[("token", &session)]).await;
    assert!(answer.is(200).header("content-type").starts_with("application/json"));
    assert_eq!(answer.member("active"), Value::Bool(true));
}

/// The answer rests on what is true now, and is not that of the last time (RFC 7662 §4).
#[tokio::test]
async fn what_is_remembered_is_forgotten_when_it_ends() {
    let (service, client) = start().await;
    let session = service.session("alice", &["read"]).await;
    let api = service.issue(&session, json!({})).await;
    assert_eq!(service.introspect(&client, &api.token()).await.member("active"), true);
    service.delete(&format!("/v1/tokens/{}", api.text_of("id")), Some(&session)).await.is(204);
    service.introspect(&client, &api.token()).await.is_inactive();
    let body = encoded(&[("token", &session)]);
    service.oauth_raw("/oauth/introspect", &[client.basic()], body).await.is(200);
}

/// RFC 9700 §4.15: whatever a client calls itself, nobody takes it for a user.
#[tokio::test]
async fn a_client_that_is_called_like_a_user_is_not_taken_for_one() {
    let (service, server) = start().await;
    let admin = service.admin().await;
    let alice = service.login("admin", json!({})).await.json()["user"]["id"].as_str().unwrap().to_owned();
    for name in [alice.as_str(), "admin"] {
        let made = service.post("/v1/clients", Some(&admin), json!({ "name": name, "scopes": ["read"] })).await;
        let client = Client { id: made.is(201).text_of("client_id"), secret: made.text_of("client_secret") };
        let token = service.client_credentials(&client).await;
        let told = service.introspect(&server, &token).await.json();
        assert_eq!((&told["sub"], &told["client_id"]), (&json!(client.id), &json!(client.id)));
        assert_eq!((told.get("username"), &told["kind"]), (None, &json!("client")));
        let checked = service.check(&token).await;
        let identity = ["remote-user", "x-daypass-user-id"].map(|header| checked.is(200).header(header));
        assert_eq!(identity, ["", ""]);
        assert!(client.id != alice && client.id.len() == 22);
    }
}
