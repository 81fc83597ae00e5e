//! What must hold when things happen at the same moment.

use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{PASSWORD, Service};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_logins_cannot_pass_a_users_limit_together() {
    let service = Arc::new(
        Service::with(|config| {
            config.tokens.session.per_user_limit = 3;
            config.limits.login_failures_before_lock = 0;
        })
        .await,
    );
    service.user("alice", &[]).await;
    let mut logins = JoinSet::new();
    for _ in 0..20 {
        let service = Arc::clone(&service);
        logins.spawn(async move { service.login("alice", json!({})).await.status.as_u16() });
    }
    let mut statuses = logins.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 3, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 409].contains(status)), "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_guesses_are_counted_one_by_one() {
    let service = Arc::new(Service::start().await);
    service.user("alice", &[]).await;
    let mut logins = JoinSet::new();
    for _ in 0..20 {
        let service = Arc::clone(&service);
        logins.spawn(async move { service.login("alice", json!({ "password": "wrong" })).await.status.as_u16() });
    }
    let statuses = logins.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 5, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 15, "{statuses:?}");
}

/// Whatever a login that began before a new password answered, no token of its making works after.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_does_not_slip_past_a_new_password() {
    let service = Arc::new(Service::with(|config| config.limits.login_failures_before_lock = 0).await);
    let session = service.session("alice", &[]).await;
    let mut logins = JoinSet::new();
    for _ in 0..8 {
        let service = Arc::clone(&service);
        logins.spawn(async move { service.login("alice", json!({})).await });
    }
    let change = json!({ "current_password": PASSWORD, "new_password": "another fine long phrase" });
    service.json(poem::http::Method::PUT, "/v1/me/password", Some(&session), change).await.is(204);
    for answer in logins.join_all().await {
        if answer.status == 200 {
            service.check(&answer.token()).await.is(401);
        } else {
            answer.is(401);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_parallel_rotations_exactly_the_last_secret_works() {
    let service = Arc::new(Service::start().await);
    let session = service.session("alice", &[]).await;
    let id = service.issue(&session, json!({})).await.text_of("id");
    let mut rotations = JoinSet::new();
    for _ in 0..8 {
        let (service, session, path) = (Arc::clone(&service), session.clone(), format!("/v1/tokens/{id}/rotate"));
        rotations.spawn(async move { service.post(&path, Some(&session), json!({})).await.token() });
    }
    let mut working = 0;
    for token in rotations.join_all().await {
        working += u32::from(service.check(&token).await.status == 200);
    }
    assert_eq!(working, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_may_make_the_schema_at_once() {
    let service = Service::start().await;
    daypass::db::migrate::down(&service.app.db, 99).await.unwrap();
    let replica = service.replica().await;
    let (one, two) = tokio::join!(daypass::db::migrate::up(&service.app.db), daypass::db::migrate::up(&replica.app.db));
    one.unwrap();
    two.unwrap();
    service.session("alice", &[]).await;
}
