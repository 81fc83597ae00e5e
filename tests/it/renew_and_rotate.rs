//! Giving a token more time, or a new secret.

use serde_json::json;

use crate::support::{Service, days, seconds};

#[tokio::test]
async fn renewing_adds_time_up_to_the_end_of_its_life() {
    let service = Service::with(|config| config.tokens.session.max_lifetime = seconds(100_000)).await;
    let token = service.session("alice", &[]).await;
    service.advance(seconds(1000));
    let renewed = service.post("/v1/tokens/current/renew", Some(&token), json!({})).await;
    assert_eq!(renewed.is(200).member("expires_in"), 36_000, "the ttl it was issued with");
    let shorter = service.post("/v1/tokens/current/renew", Some(&token), json!({ "ttl": 5 })).await;
    assert_eq!(shorter.is(200).member("expires_in"), 36_000, "never earlier than it was");
    let longer = service.post("/v1/tokens/current/renew", Some(&token), json!({ "ttl": 1_000_000_000 })).await;
    assert_eq!(longer.is(200).member("expires_in"), 99_000, "cut, not refused");
    assert_eq!(longer.member("expires_at"), longer.member("max_expires_at"));
    assert_eq!(longer.member("limited_by"), "max_lifetime");
    service.post("/v1/tokens/current/renew", Some(&token), json!({ "ttl": 0 })).await.is_about(422, "ttl");
}

#[tokio::test]
async fn a_body_is_not_needed() {
    let service = Service::start().await;
    let token = service.session("alice", &[]).await;
    let bearer = [("authorization", format!("Bearer {token}"))];
    service.send(poem::http::Method::POST, "/v1/tokens/current/renew", &bearer, "").await.is(200);
    let rotated = service.send(poem::http::Method::POST, "/v1/tokens/current/rotate", &bearer, "").await.token();
    service.check(&rotated).await.is(200);
}

#[tokio::test]
async fn what_no_longer_works_is_not_renewed() {
    let service = Service::start().await;
    let session = service.session("alice", &[]).await;
    let expired = service.issue(&session, json!({ "ttl": 1 })).await.text_of("id");
    let revoked = service.issue(&session, json!({})).await.text_of("id");
    service.delete(&format!("/v1/tokens/{revoked}"), Some(&session)).await.is(204);
    service.advance(seconds(1));
    for id in [expired, revoked] {
        service.post(&format!("/v1/tokens/{id}/renew"), Some(&session), json!({})).await.is_problem(409);
        service.post(&format!("/v1/tokens/{id}/rotate"), Some(&session), json!({})).await.is_problem(409);
    }
}

#[tokio::test]
async fn reaching_is_limited_to_api_tokens_and_oneself() {
    let service = Service::start().await;
    let session = service.session("alice", &["read", "write"]).await;
    let other = service.login("alice", json!({})).await.text_of("id");
    let api = service.issue(&session, json!({ "scopes": ["read"] })).await;
    service.post(&format!("/v1/tokens/{other}/renew"), Some(&session), json!({})).await.is_problem(403);
    service.post(&format!("/v1/tokens/{}/renew", api.text_of("id")), Some(&session), json!({})).await.is(200);
    let stronger = service.issue(&session, json!({ "scopes": ["read", "write"] })).await.text_of("id");
    let weak = api.token();
    service.post(&format!("/v1/tokens/{stronger}/rotate"), Some(&weak), json!({})).await.is_problem(403);
    service.post("/v1/tokens/current/rotate", Some(&weak), json!({})).await.is(200);
}

#[tokio::test]
async fn rotating_replaces_the_secret_and_nothing_else() {
    let service = Service::start().await;
    let session = service.session("alice", &["read"]).await;
    let before = service.issue(&session, json!({ "name": "ci", "scopes": ["read"] })).await;
    let path = format!("/v1/tokens/{}/rotate", before.text_of("id"));
    let after = service.post(&path, Some(&session), json!({})).await;
    after.is(200);
    assert_ne!(after.token(), before.token());
    for same in ["id", "name", "scopes", "kind", "created_at", "expires_at", "max_expires_at"] {
        assert_eq!(after.member(same), before.member(same), "{same}");
    }
    service.check(&before.token()).await.is_problem(401);
    service.check(&after.token()).await.is(200);
}

#[tokio::test]
async fn an_overlap_keeps_the_old_secret_to_the_millisecond() {
    let service = Service::start().await;
    let session = service.session("alice", &[]).await;
    let before = service.issue(&session, json!({})).await;
    let path = format!("/v1/tokens/{}/rotate", before.text_of("id"));
    let after = service.post(&path, Some(&session), json!({ "overlap": 60 })).await.token();
    service.advance_ms(59_999);
    service.check(&before.token()).await.is(200);
    service.advance_ms(1);
    let refused = service.check(&before.token()).await;
    assert!(refused.is_problem(401).header("www-authenticate").contains("the token has expired"));
    service.check(&after).await.is(200);
    for overlap in [-1, 604_801] {
        service.post(&path, Some(&session), json!({ "overlap": overlap })).await.is_about(422, "overlap");
    }
}

#[tokio::test]
async fn rotating_again_ends_a_running_overlap() {
    let service = Service::start().await;
    let session = service.session("alice", &[]).await;
    let first = service.issue(&session, json!({})).await;
    let path = format!("/v1/tokens/{}/rotate", first.text_of("id"));
    let second = service.post(&path, Some(&session), json!({ "overlap": 600 })).await.token();
    let third = service.post(&path, Some(&session), json!({ "overlap": 600 })).await.token();
    service.check(&first.token()).await.is(401);
    service.check(&second).await.is(200);
    service.check(&third).await.is(200);
    service.advance(days(30));
    service.check(&second).await.is(401);
}

/// A scope that the user may not use just now may come back, and with it what the new secret opens.
#[tokio::test]
async fn what_a_token_was_issued_with_counts_not_what_its_user_may_just_now() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let alice = service.session("alice", &["read", "write"]).await;
    let user = service.get("/v1/me", Some(&alice)).await.member("user")["id"].as_str().unwrap().to_owned();
    let wide = service.issue(&alice, json!({})).await.text_of("id");
    let narrow = service.login("alice", json!({ "scopes": ["read"] })).await.token();
    let scopes = json!({ "scopes": ["read"] });
    let path = format!("/v1/users/{user}");
    service.json(poem::http::Method::PATCH, &path, Some(&admin), scopes).await.is(200);
    for verb in ["rotate", "renew"] {
        service.post(&format!("/v1/tokens/{wide}/{verb}"), Some(&narrow), json!({})).await.is_problem(403);
    }
}

#[tokio::test]
async fn a_secret_whose_overlap_is_over_ends_nothing() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let token = service.issue(&admin, json!({})).await;
    let path = format!("/v1/tokens/{}/rotate", token.text_of("id"));
    let rotated = service.post(&path, Some(&admin), json!({ "overlap": 5 })).await.token();
    service.advance_ms(5_000);
    service.post("/v1/tokens/revoke", None, json!({ "tokens": [token.token()] })).await.is(202);
    service.check(&rotated).await.is(200);
}

#[tokio::test]
async fn a_proxy_may_remember_an_old_secret_no_longer_than_it_works() {
    let service = Service::with(|config| config.check.proxy_max_age = crate::support::seconds(300)).await;
    let admin = service.admin().await;
    let token = service.issue(&admin, json!({})).await;
    let path = format!("/v1/tokens/{}/rotate", token.text_of("id"));
    let rotated = service.post(&path, Some(&admin), json!({ "overlap": 5 })).await.token();
    assert_eq!(service.check(&token.token()).await.header("cache-control"), "private, max-age=5");
    assert_eq!(service.check(&rotated).await.header("cache-control"), "private, max-age=300");
    let idle = service.issue(&admin, json!({ "idle_timeout": 60 })).await.token();
    assert_eq!(service.check(&idle).await.header("cache-control"), "private, max-age=60");
}
