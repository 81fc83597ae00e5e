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

async fn forced(service: &Service) -> Run {
    maintenance::run(&service.app, Trigger::Cli, true, ()).await.unwrap()
}

async fn ailment(service: &Service) -> String {
    let ready = service.get("/readyz", None).await.is(200).json();
    ready["parts"][3]["detail"].as_str().unwrap_or("none").to_owned()
}

#[tokio::test]
async fn a_clock_that_went_back_is_refused_unless_forced() {
    let (service, admin) = start(Duration::ZERO).await;
    service.issue(&admin, json!({ "ttl": 1 })).await.is(201);
    service.advance(days(3));
    purge(&service).await;
    service.advance_ms(-60_000);
    let run = purge(&service).await;
    assert_eq!(run.outcome, Some(Outcome::Clock));
    assert!(run.error.unwrap().contains("60000 ms behind the last run's"));
    assert!(ailment(&service).await.contains("daypass purge --force"));
    assert_eq!(forced(&service).await.outcome, Some(Outcome::Done));
}

#[tokio::test]
async fn after_a_forced_run_the_next_one_needs_no_force() {
    let (service, _admin) = start(days(1)).await;
    service.advance(days(1));
    purge(&service).await;
    service.advance_ms(-86_400_000);
    // Runs of the same millisecond have no order.
    for _ in 0..2 {
        assert_eq!(purge(&service).await.outcome, Some(Outcome::Clock));
        service.advance_ms(1);
    }
    assert_eq!(forced(&service).await.outcome, Some(Outcome::Done));
    assert_eq!(ailment(&service).await, "none");
    for _ in 0..2 {
        service.advance_ms(1);
        assert_eq!(purge(&service).await.outcome, Some(Outcome::Done));
    }
    assert_eq!(ailment(&service).await, "none");
}

#[tokio::test]
async fn a_forced_run_that_its_time_limit_ends_counts_as_well() {
    let (service, _admin) = start(days(1)).await;
    service.advance(days(1));
    purge(&service).await;
    service.advance_ms(-86_400_000);
    let mut config = service.app.config.clone();
    config.maintenance.max_run = Duration::ZERO;
    let hurried = daypass::app::App::open(config, service.app.clock.clone()).await.unwrap();
    let run = maintenance::run(&hurried, Trigger::Cli, true, ()).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Budget));
    assert_eq!(purge(&service).await.outcome, Some(Outcome::Done));
}

/// What such a run leaves carries an id from the future: it is no measure for later clocks, and goes with the sweep.
#[tokio::test]
async fn a_run_that_was_refused_while_the_clock_was_ahead_refuses_none_after_it() {
    use sea_orm::EntityTrait;

    let (service, _admin) = start(days(1)).await;
    purge(&service).await;
    let ahead = service.now().plus_seconds(86_400 * 365);
    let refused = Run {
        outcome: Some(Outcome::Clock),
        error: Some("the clock is ahead".to_owned()),
        ..maintenance::history::begun("purge", "elsewhere", Trigger::Schedule, ahead)
    };
    maintenance::history::record(service.app.db.writer(), refused.clone()).await.unwrap();
    assert_eq!(ailment(&service).await, "none");
    service.advance_ms(1);
    assert_eq!(purge(&service).await.outcome, Some(Outcome::Done));
    let runs = entity::maintenance_run::Entity::find().all(service.app.db.reader()).await.unwrap();
    assert!(runs.len() == 2 && runs.iter().all(|run| run.id != refused.id), "{runs:?}");
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

/// Counters of attempts that are over, and runs that are kept no longer.
async fn litter(service: &Service, many: usize) {
    use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel};

    for number in 0..many {
        let attempt =
            entity::attempt::Model { subject: format!("login-name:{number}"), count: 1, expires_at: service.now() };
        let attempt = entity::attempt::Entity::insert(attempt.into_active_model().reset_all());
        attempt.exec_without_returning(service.app.db.writer()).await.unwrap();
        let run = maintenance::history::begun("purge", "elsewhere", Trigger::Schedule, service.now());
        maintenance::history::record(service.app.db.writer(), run).await.unwrap();
    }
}

async fn littered(service: &Service) -> (u64, u64) {
    use sea_orm::{EntityTrait, PaginatorTrait};

    let attempts = entity::attempt::Entity::find().count(service.app.db.reader()).await.unwrap();
    (attempts, entity::maintenance_run::Entity::find().count(service.app.db.reader()).await.unwrap())
}

#[tokio::test]
async fn sweeping_goes_in_batches_too_and_one_of_each_sort_goes_when_the_time_is_up() {
    let service = Service::with(|config| config.maintenance.batch_size = 10).await;
    litter(&service, 25).await;
    service.advance(days(31));
    let mut config = service.app.config.clone();
    config.maintenance.max_run = Duration::ZERO;
    let hurried = daypass::app::App::open(config, service.app.clock.clone()).await.unwrap();
    let run = maintenance::run(&hurried, Trigger::Cli, false, ()).await.unwrap();
    assert_eq!((run.outcome, littered(&service).await), (Some(Outcome::Budget), (15, 16)));
    let run = purge(&service).await;
    assert_eq!((run.outcome, littered(&service).await), (Some(Outcome::Done), (0, 2)));
}

#[tokio::test]
async fn sweeping_stops_when_asked_to() {
    struct Stop(std::sync::Arc<daypass::app::App>);
    impl maintenance::purge::Progress for Stop {
        fn batch(&mut self, run: &Run) {
            if run.batches == 2 {
                futures_util::FutureExt::now_or_never(self.0.maintenance.stop()).unwrap();
            }
        }
    }
    let service = Service::start().await;
    litter(&service, 1).await;
    service.advance(days(31));
    let run = maintenance::run(&service.app, Trigger::Cli, false, Stop(service.app.clone())).await.unwrap();
    assert_eq!((run.outcome, littered(&service).await), (Some(Outcome::Cancelled), (1, 2)));
}
