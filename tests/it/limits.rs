//! Limits on guessing.

use poem::http::Method;
use serde_json::json;

use crate::support::{PASSWORD, Service, seconds};

#[tokio::test]
async fn failures_lock_an_account_whether_or_not_it_exists() {
    let service = Service::start().await;
    service.user("alice", &[]).await;
    for name in ["alice", "nobody"] {
        for attempt in 0..5 {
            // Every way to write a name is the same name.
            let name = if attempt % 2 == 0 { name.to_owned() } else { name.to_uppercase() };
            service.login(&name, json!({ "password": "wrong" })).await.is_problem(401);
        }
        let locked = service.login(name, json!({ "password": PASSWORD })).await;
        assert_eq!(locked.is_problem(429).header("retry-after"), "900");
    }
    service.advance(seconds(899));
    assert_eq!(service.login("alice", json!({})).await.is(429).header("retry-after"), "1");
    service.advance(seconds(1));
    service.login("alice", json!({})).await.is(200);
}

#[tokio::test]
async fn a_success_forgets_the_failures_before_it() {
    let service = Service::start().await;
    service.user("alice", &[]).await;
    for _ in 0..3 {
        for _ in 0..4 {
            service.login("alice", json!({ "password": "wrong" })).await.is(401);
        }
        service.login("alice", json!({})).await.is(200);
    }
}

#[tokio::test]
async fn an_address_has_so_many_attempts_a_minute() {
    let service = Service::with(|config| config.limits.login_per_minute_per_ip = 3).await;
    service.user("alice", &[]).await;
    for _ in 0..3 {
        service.login("alice", json!({})).await.is(200);
        service.advance(seconds(10));
    }
    assert_eq!(service.login("alice", json!({})).await.is_problem(429).header("retry-after"), "30");
    service.advance(seconds(30));
    service.login("alice", json!({})).await.is(200);
}

#[tokio::test]
async fn another_process_counts_along() {
    let service = Service::with(|config| config.limits.login_failures_before_lock = 2).await;
    service.user("alice", &[]).await;
    let replica = service.replica().await;
    service.login("alice", json!({ "password": "wrong" })).await.is(401);
    replica.login("alice", json!({ "password": "wrong" })).await.is(401);
    service.login("alice", json!({})).await.is(429);
    replica.login("alice", json!({})).await.is(429);
}

#[tokio::test]
async fn more_logins_than_the_hashing_queue_holds_are_told_to_come_back() {
    let service = Service::with(|config| {
        config.passwords.memory_kib = 19_456;
        config.limits.login_failures_before_lock = 0;
    })
    .await;
    // One thread takes tens of milliseconds for each, and 64 may wait: of 200 at once most cannot.
    let logins = (0..200).map(|_| service.login("nobody", json!({})));
    let statuses: Vec<_> = futures_util::future::join_all(logins).await.iter().map(|it| it.status.as_u16()).collect();
    assert!(statuses.iter().all(|status| [401, 503].contains(status)), "{statuses:?}");
    assert!(statuses.contains(&503) && statuses.iter().filter(|status| **status == 401).count() >= 64);
}

/// Workers that all start together have the right password: none of them is a failure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn right_passwords_at_once_lock_nobody_out() {
    let service = Service::start().await;
    service.user("alice", &[]).await;
    let logins = (0..20).map(|_| service.login("alice", json!({})));
    let statuses: Vec<_> = futures_util::future::join_all(logins).await.iter().map(|it| it.status.as_u16()).collect();
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
}

#[tokio::test]
async fn a_right_password_is_no_failure_whatever_else_is_wrong() {
    let service = Service::start().await;
    service.user("alice", &[]).await;
    for _ in 0..6 {
        service.login("alice", json!({ "ttl": 0 })).await.is_about(422, "ttl");
        service.login("alice", json!({ "scopes": ["daypass:admin"] })).await.is_problem(403);
    }
    service.login("alice", json!({})).await.is(200);
}

#[tokio::test]
async fn a_new_password_from_an_administrator_lifts_a_lock() {
    let service = Service::start().await;
    let admin = service.admin().await;
    service.user("alice", &[]).await;
    for _ in 0..6 {
        service.login("alice", json!({ "password": "wrong" })).await;
    }
    service.login("alice", json!({})).await.is_problem(429);
    let users = service.get("/v1/users", Some(&admin)).await.member("items");
    let alice = users.as_array().unwrap().iter().find(|user| user["username"] == "alice").unwrap()["id"].clone();
    let path = format!("/v1/users/{}", alice.as_str().unwrap());
    service.json(Method::PATCH, &path, Some(&admin), json!({ "password": PASSWORD })).await.is(200);
    service.login("alice", json!({})).await.is(200);
}

#[tokio::test]
async fn revoking_by_possession_is_limited_too() {
    let service = Service::with(|config| config.limits.login_per_minute_per_ip = 2).await;
    let tokens = json!({ "tokens": ["x"] });
    for _ in 0..2 {
        service.post("/v1/tokens/revoke", None, tokens.clone()).await.is(202);
    }
    service.post("/v1/tokens/revoke", None, tokens).await.is_problem(429);
}
