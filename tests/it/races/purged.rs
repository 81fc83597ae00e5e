//! A purge takes a token for stale, which by then is not: it was renewed, or a use of it was written. Or the clock by which it is
//! stale is set meanwhile.

use std::{sync::Arc, time::Duration};

use daypass::{
    db::Engine,
    maintenance::{self, Manner, job::Job},
    pause::Point,
};
use entity::maintenance_run::{Model as Run, Outcome, Trigger};
use serde_json::json;

use super::Begun;
use crate::support::{Answer, Service, days, seconds};

/// Without retention, and with an administrator whose session outlives the test.
async fn start() -> (Arc<Service>, String) {
    let service = Service::with(|config| {
        config.maintenance.retain_expired = Duration::ZERO;
        config.tokens.session.ttl = days(29);
    });
    let service = Arc::new(service.await);
    let admin = service.admin().await;
    (service, admin)
}

fn purge(service: &Arc<Service>) -> impl Future<Output = Run> + Send + use<> {
    let app = Arc::clone(&service.app);
    async move { maintenance::run(&app, Job::Purge, Trigger::Schedule, Manner::default(), &mut ()).await.unwrap() }
}

/// A purge beside somebody who has written the row and not committed: `PostgreSQL` steps over such rows, MariaDB waits for them.
async fn purge_beside(service: &Arc<Service>) -> Begun<Run> {
    if service.app.db.engine() == Engine::Postgres {
        let run = purge(service).await;
        assert_eq!(run.deleted_expired, 0);
        return Begun { held: None, task: tokio::spawn(std::future::ready(run)) };
    }
    service.wait(purge(service)).await
}

/// A token that has been in use all the time, of which nothing could be written: by its row it has been over for long.
async fn in_use(service: &Service, admin: &str) -> Answer {
    let token = service.issue(admin, json!({ "idle_timeout": 60, "ttl": 100_000 })).await;
    service.flush().await;
    for _ in 0..5 {
        service.advance(seconds(30));
        service.check(&token.token()).await.is(200);
    }
    token
}

/// A token that ends within a minute.
async fn ending(service: &Service, admin: &str) -> Answer {
    let token = service.issue(admin, json!({ "ttl": 60 })).await;
    service.advance(seconds(31));
    token
}

const DAY_MS: i64 = 86_400_000;

/// From where [`ending`] leaves the clock to where the purge takes that token for stale.
const UNTIL_STALE: i64 = 90_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_used_after_a_purge_chose_it_stays() {
    let (service, admin) = start().await;
    let token = in_use(&service, &admin).await;
    let purging = service.hold(Point::Batch, purge(&service)).await;
    service.flush().await;
    assert_eq!(purging.let_go().await.deleted_expired, 0);
    assert!(service.row(&token).await.is_some());
    service.app.checker.forget_everything();
    service.check(&token.token()).await.is(200);
}

/// Somebody whose clock is behind renews it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_renewed_after_a_purge_chose_it_stays() {
    let (service, admin) = start().await;
    let token = ending(&service, &admin).await;
    service.advance_ms(UNTIL_STALE);
    let purging = service.hold(Point::Batch, purge(&service)).await;
    service.advance_ms(-UNTIL_STALE);
    service.renewed(&token, &admin).await.is(200);
    assert_eq!(purging.let_go().await.deleted_expired, 0);
    assert!(service.row(&token).await.is_some());
    service.check(&token.token()).await.is(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_purged_first_does_not_come_back() {
    let (service, admin) = start().await;
    let used = in_use(&service, &admin).await;
    let flushing = service.hold(Point::Uses, service.flushed()).await;
    assert_eq!(purge(&service).await.deleted_expired, 1);
    flushing.let_go().await;
    let expired = ending(&service, &admin).await;
    let renewing = service.hold(Point::Change, service.renewed(&expired, &admin)).await;
    service.advance_ms(UNTIL_STALE);
    assert_eq!(purge(&service).await.deleted_expired, 1);
    service.advance_ms(-UNTIL_STALE);
    renewing.let_go().await.is_problem(404);
    service.app.checker.forget_everything();
    for token in [used, expired] {
        assert!(service.row(&token).await.is_none());
        service.check(&token.token()).await.is(401);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_does_not_delete_what_is_being_used_or_renewed() {
    let (service, admin) = start().await;
    if service.has_one_writer() {
        return;
    }
    let used = in_use(&service, &admin).await;
    let flushing = service.hold(Point::UsesWritten, service.flushed()).await;
    let purging = purge_beside(&service).await;
    flushing.let_go().await;
    assert_eq!(purging.let_go().await.deleted_expired, 0);
    assert!(service.row(&used).await.is_some());

    let renewed = ending(&service, &admin).await;
    let renewing = service.hold(Point::Written, service.renewed(&renewed, &admin)).await;
    service.advance_ms(UNTIL_STALE);
    let purging = purge_beside(&service).await;
    renewing.let_go().await.is(200);
    let run = purging.let_go().await;
    assert!(service.row(&renewed).await.is_some(), "{run:?}");
    service.check(&renewed.token()).await.is(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_purge_brings_nothing_back() {
    let (service, admin) = start().await;
    if service.has_one_writer() {
        return;
    }
    let used = in_use(&service, &admin).await;
    let purging = service.hold(Point::Deleted, purge(&service)).await;
    let flushing = service.wait(service.flushed()).await;
    assert_eq!(purging.let_go().await.deleted_expired, 1);
    flushing.let_go().await;

    let expired = ending(&service, &admin).await;
    service.advance_ms(UNTIL_STALE);
    let purging = service.hold(Point::Deleted, purge(&service)).await;
    service.advance_ms(-UNTIL_STALE);
    let renewing = service.wait(service.renewed(&expired, &admin)).await;
    assert_eq!(purging.let_go().await.deleted_expired, 1);
    renewing.let_go().await.is_problem(404);
    service.app.checker.forget_everything();
    for token in [used, expired] {
        assert!(service.row(&token).await.is_none());
        service.check(&token.token()).await.is(401);
    }
}

/// No later run is refused for being behind what the clock wrongly showed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_right_while_a_run_looks_at_it_refuses_none_after_that() {
    let (service, _) = start().await;
    service.app.clock.jump(DAY_MS);
    let purging = service.hold(Point::Clock, purge(&service)).await;
    service.app.clock.jump(-DAY_MS);
    assert_eq!(purging.let_go().await.outcome, Some(Outcome::Done));
    service.advance(seconds(1));
    assert_eq!(purge(&service).await.outcome, Some(Outcome::Done));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_ahead_while_a_run_looks_at_it_deletes_nothing_that_works() {
    let (service, _) = start().await;
    service.fill(10, 50).await;
    let purging = service.hold(Point::Clock, purge(&service)).await;
    service.app.clock.jump(3 * DAY_MS);
    let run = purging.let_go().await;
    // What tells it on SQLite is how much time went by. A server's own clock, which would tell, is not looked at by a test's.
    let told = service.app.db.engine() == Engine::Sqlite;
    let expected = if told { (Outcome::Clock, 0) } else { (Outcome::Done, 10) };
    assert_eq!((run.outcome, run.deleted_expired), (Some(expected.0), expected.1));
    service.app.clock.jump(-3 * DAY_MS);
    service.advance(seconds(1));
    let run = purge(&service).await;
    assert_eq!((run.outcome, run.deleted_expired), (Some(Outcome::Done), 10 - expected.1));
}
