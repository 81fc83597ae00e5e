//! The purge: what it deletes, what it never does, and that it is told.

use std::time::Duration;

use daypass::maintenance;
use entity::maintenance_run::{Model as Run, Outcome, Trigger};
use serde_json::json;

use crate::support::{Service, days, seconds};

async fn purge(service: &Service) -> Run {
    maintenance::run(&service.app, Trigger::Cli, false, ()).await.unwrap()
}

async fn tokens(service: &Service, admin: &str) -> usize {
    service.get("/v1/tokens?kind=api&limit=200", Some(admin)).await.member("items").as_array().unwrap().len()
}

/// An administrator whose session outlives the test.
async fn start(retention: Duration) -> (Service, String) {
    let service = Service::with(|config| {
        config.maintenance.retain_expired = retention;
        config.maintenance.retain_revoked = retention;
        config.tokens.session.ttl = days(29);
    })
    .await;
    let admin = service.admin().await;
    (service, admin)
}

#[tokio::test]
async fn an_expired_token_goes_once_its_retention_is_over_and_not_before() {
    let (service, admin) = start(days(1)).await;
    let token = service.issue(&admin, json!({ "ttl": 60 })).await;
    for (offset, deleted) in [(-1, 0), (0, 0), (1, 1)] {
        service.set_to(&token.member("expires_at"), 86_400_000 + offset);
        let run = purge(&service).await;
        assert_eq!(
            (run.outcome, run.deleted_expired, run.deleted_revoked),
            (Some(Outcome::Done), deleted, 0),
            "{offset}"
        );
    }
    assert_eq!(tokens(&service, &admin).await, 0);
}

#[tokio::test]
async fn a_revoked_token_goes_once_its_retention_is_over_and_not_before() {
    let (service, admin) = start(days(1)).await;
    let id = service.issue(&admin, json!({})).await.text_of("id");
    service.advance(seconds(5));
    service.delete(&format!("/v1/tokens/{id}"), Some(&admin)).await.is(204);
    let revoked_at = service.get(&format!("/v1/tokens/{id}"), Some(&admin)).await.member("revoked_at");
    for (offset, deleted) in [(-1, 0), (0, 0), (1, 1)] {
        service.set_to(&revoked_at, 86_400_000 + offset);
        assert_eq!(purge(&service).await.deleted_revoked, deleted, "{offset}");
    }
}

#[tokio::test]
async fn what_works_is_never_deleted_even_without_retention() {
    let (service, admin) = start(Duration::ZERO).await;
    let fixed = service.issue(&admin, json!({ "ttl": 600 })).await;
    let sliding = service.issue(&admin, json!({ "idle_timeout": 300 })).await;
    for token in [&sliding, &fixed] {
        let end = token.member("expires_at");
        service.set_to(&end, if token.text_of("limited_by") == "ttl" { -1 } else { 59_999 });
        assert_eq!(purge(&service).await.deleted_expired, 0);
        // Looked at without using it, which would move its end.
        let path = format!("/v1/tokens/{}", token.text_of("id"));
        assert_eq!(service.get(&path, Some(&admin)).await.member("state"), "active");
        service.delete(&path, Some(&admin)).await.is(204);
    }
}

#[tokio::test]
async fn what_changed_within_a_minute_stays_whatever_the_retention() {
    let (service, admin) = start(Duration::ZERO).await;
    let id = service.issue(&admin, json!({})).await.text_of("id");
    service.advance(days(1));
    service.delete(&format!("/v1/tokens/{id}"), Some(&admin)).await.is(204);
    service.advance_ms(60_000);
    assert_eq!(purge(&service).await.deleted_revoked, 0);
    service.advance_ms(1);
    assert_eq!(purge(&service).await.deleted_revoked, 1);
}

#[tokio::test]
async fn it_drains_in_batches_and_stops_at_its_time_limit() {
    let service = Service::with(|config| {
        config.maintenance.batch_size = 10;
        config.tokens.session.ttl = days(29);
    })
    .await;
    let admin = service.admin().await;
    for _ in 0..25 {
        service.issue(&admin, json!({ "ttl": 1 })).await.is(201);
    }
    let kept = service.issue(&admin, json!({ "name": "kept" })).await;
    service.advance(days(2));

    let mut config = service.app.config.clone();
    config.maintenance.max_run = Duration::ZERO;
    let hurried = daypass::app::App::open(config, service.app.clock.clone()).await.unwrap();
    let run = maintenance::run(&hurried, Trigger::Cli, false, ()).await.unwrap();
    assert_eq!((run.outcome, run.batches, run.backlog), (Some(Outcome::Budget), 0, Some(25)));

    let run = purge(&service).await;
    assert_eq!((run.outcome, run.deleted_expired, run.backlog), (Some(Outcome::Done), 25, Some(0)));
    assert_eq!(run.batches, 4, "10, 10 and 5 expired, and a look for revoked ones");
    service.check(&kept.token()).await.is(200);
}

#[tokio::test]
async fn it_stops_between_batches_when_asked_to() {
    let (service, admin) = start(Duration::ZERO).await;
    service.issue(&admin, json!({ "ttl": 1 })).await.is(201);
    service.advance(days(1));
    service.app.maintenance.stop().await;
    let run = purge(&service).await;
    assert_eq!((run.outcome, run.deleted_expired), (Some(Outcome::Cancelled), 0));
}

#[tokio::test]
async fn a_deleted_users_rows_go_with_it_and_a_living_users_stay() {
    let (service, admin) = start(days(1)).await;
    service.session("alice", &[]).await;
    let users = service.get("/v1/users", Some(&admin)).await.member("items");
    let alice = users.as_array().unwrap().iter().find(|user| user["username"] == "alice").unwrap();
    let path = format!("/v1/users/{}", alice["id"].as_str().unwrap());
    service.delete(&path, Some(&admin)).await.is(204);
    let rows = async || {
        use sea_orm::{EntityTrait, PaginatorTrait};
        entity::user::Entity::find().count(service.app.db.reader()).await.unwrap()
    };
    purge(&service).await;
    assert_eq!(rows().await, 2);
    service.advance(days(2));
    purge(&service).await;
    assert_eq!(rows().await, 1);
    service.check(&admin).await.is(200);
}

#[tokio::test]
async fn a_clock_that_went_back_is_refused_unless_forced() {
    let (service, admin) = start(Duration::ZERO).await;
    service.issue(&admin, json!({ "ttl": 1 })).await.is(201);
    service.advance(days(3));
    maintenance::run(&service.app, Trigger::Cli, false, ()).await.unwrap();
    service.advance_ms(-60_000);
    let run = purge(&service).await;
    assert_eq!(run.outcome, Some(Outcome::Clock));
    assert!(run.error.unwrap().contains("60000 ms behind the last run's"));
    assert_eq!(service.get("/readyz", None).await.is(200).member("status"), "degraded");
    let forced = maintenance::run(&service.app, Trigger::Cli, true, ()).await.unwrap();
    assert_eq!(forced.outcome, Some(Outcome::Done));
}

#[tokio::test]
async fn counters_and_old_runs_are_swept() {
    use sea_orm::{EntityTrait, PaginatorTrait};

    let (service, _admin) = start(days(1)).await;
    service.post("/v1/login", None, json!({ "username": "nobody", "password": "wrong" })).await.is(401);
    purge(&service).await;
    let count = async || {
        let counters = entity::attempt::Entity::find().count(service.app.db.reader()).await.unwrap();
        (counters, entity::maintenance_run::Entity::find().count(service.app.db.reader()).await.unwrap())
    };
    assert_eq!(count().await, (1, 1));
    service.advance(days(31));
    purge(&service).await;
    assert_eq!(count().await, (0, 1));
}
