//! Changing one's password, and what password is good enough.

use poem::http::Method;
use serde_json::json;

use crate::support::{PASSWORD, Service};

const NEW: &str = "quiet rivers run deeper than most";

#[tokio::test]
async fn a_new_password_ends_every_other_session() {
    let service = Service::start().await;
    let here = service.session("alice", &["read"]).await;
    let elsewhere = service.login("alice", json!({})).await.token();
    let api = service.issue(&here, json!({})).await.token();
    let change = json!({ "current_password": PASSWORD, "new_password": NEW });
    service.json(Method::PUT, "/v1/me/password", Some(&here), change).await.is(204);
    service.check(&here).await.is(200);
    service.check(&api).await.is(200);
    service.check(&elsewhere).await.is(401);
    service.login("alice", json!({})).await.is(401);
    service.login("alice", json!({ "password": NEW })).await.is(200);
}

/// What is remembered of the session that stays is from before: that must not keep it from issuing.
#[tokio::test]
async fn the_session_that_survives_a_new_password_issues_as_before() {
    let service = Service::start().await;
    let here = service.session("alice", &[]).await;
    let change = json!({ "current_password": PASSWORD, "new_password": NEW });
    service.json(Method::PUT, "/v1/me/password", Some(&here), change).await.is(204);
    for _ in 0..2 {
        let token = service.issue(&here, json!({})).await;
        service.check(&token.is(201).token()).await.is(200);
    }
}

#[tokio::test]
async fn the_present_password_must_be_right() {
    let service = Service::start().await;
    let token = service.session("alice", &[]).await;
    let change = json!({ "current_password": "wrong", "new_password": NEW });
    let answer = service.json(Method::PUT, "/v1/me/password", Some(&token), change).await;
    answer.is_about(403, "current_password");
    service.check(&token).await.is(200);
}

#[tokio::test]
async fn a_weak_password_is_refused_with_the_reason() {
    let service = Service::start().await;
    let token = service.session("alice", &[]).await;
    let long = "x".repeat(1025);
    for (weak, reason) in [
        ("short1", "at least 8 characters"),
        ("Password123", "most common"),
        ("Password123!", "easy to guess"),
        ("alice2026", "easy to guess"),
        ("19840229", "easy to guess"),
        (long.as_str(), "at most 1024 bytes"),
    ] {
        let change = json!({ "current_password": PASSWORD, "new_password": weak });
        let answer = service.json(Method::PUT, "/v1/me/password", Some(&token), change).await;
        answer.is_about(422, "new_password");
        assert!(answer.text.contains(reason) && !answer.text.contains(weak), "{weak}: {answer:?}");
    }
    service.login("alice", json!({})).await.is(200);
}

#[tokio::test]
async fn a_hash_is_made_anew_when_the_cost_was_raised() {
    let service = Service::start().await;
    service.user("alice", &[]).await;
    let mut config = service.app.config.clone();
    config.passwords.iterations = 3;
    let dearer = daypass::app::App::open(config, service.app.clock.clone()).await.unwrap();
    let stored = async || {
        let user = daypass::account::users::find_by_name(service.app.db.reader(), "alice").await.unwrap().unwrap();
        user.password_hash.unwrap().as_str().to_owned()
    };
    assert!(stored().await.starts_with("$argon2id$v=19$m=8,t=1,p=1$"));
    let credentials = daypass::account::login::Credentials {
        username: "alice".to_owned(),
        password: daypass::account::password::Password::new(PASSWORD.to_owned()),
    };
    let from = daypass::audit::Origin::default();
    let wanted = daypass::token::issue::Wanted::default();
    daypass::account::login::login(&dearer, &from, credentials, wanted, false, service.now()).await.unwrap();
    assert!(stored().await.starts_with("$argon2id$v=19$m=8,t=3,p=1$"));
    let unless_told = daypass::config::Config::default().passwords;
    assert_eq!((unless_told.memory_kib, unless_told.iterations, unless_told.parallelism), (19_456, 2, 1));
    service.login("alice", json!({})).await.is(200);
}
