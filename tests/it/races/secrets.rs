//! Two who hold the same secret give it for a new one: one of them does.

use std::{sync::Arc, time::Duration};

use daypass::pause::Point;
use poem::http::Method;
use serde_json::json;

use crate::support::{Answer, Service, seconds};

/// Rotates the token that is presented, or the one of this id.
fn rotate(service: &Arc<Service>, token: &str, id: &str) -> impl Future<Output = Answer> + Send + use<> {
    service.sent(Method::POST, &format!("/v1/tokens/{id}/rotate"), token, json!({}))
}

fn trade(service: &Arc<Service>, refresh: &str) -> impl Future<Output = Answer> + Send + use<> {
    let (service, refresh) = (Arc::clone(service), refresh.to_owned());
    async move { service.refresh(&refresh).await }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_rotates_what_they_present_must_still_hold_it() {
    let service = Arc::new(Service::start().await);
    let session = service.session("alice", &[]).await;
    let late = service.hold(Point::Change, rotate(&service, &session, "current")).await;
    let rotated = rotate(&service, &session, "current").await.token();
    late.let_go().await.is_problem(409);
    service.check(&rotated).await.is(200);
    service.check(&session).await.is(401);
}

/// The first has read the row, and the second comes before the first has written it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_waits_for_one_that_is_under_way() {
    let service = Arc::new(Service::start().await);
    if service.has_one_writer() {
        return;
    }
    let session = service.session("alice", &[]).await;
    for point in [Point::Locked, Point::Written] {
        let other = service.login("alice", json!({})).await.token();
        let first = service.hold(point, rotate(&service, &other, "current")).await;
        let second = service.wait(rotate(&service, &other, "current")).await;
        let rotated = first.let_go().await.token();
        second.let_go().await.is_problem(409);
        service.check(&rotated).await.is(200);
        service.check(&other).await.is(401);
    }
    // By its id it is rotated twice, for nobody says that they hold it.
    let token = service.issue(&session, json!({})).await;
    let id = token.text_of("id");
    let first = service.hold(Point::Locked, rotate(&service, &session, &id)).await;
    let second = service.wait(rotate(&service, &session, &id)).await;
    let (first, second) = (first.let_go().await.token(), second.let_go().await.token());
    service.check(&first).await.is(401);
    service.check(&second).await.is(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_trades_that_found_it_unspent_the_later_is_a_copy() {
    let service = Arc::new(Service::with(|config| config.oauth.refresh_grace = Duration::ZERO).await);
    service.user("alice", &[]).await;
    let (session, refresh) = service.login_with_refresh("alice").await;
    let late = service.hold(Point::Change, trade(&service, &refresh)).await;
    let (access, next) = service.traded(&refresh).await;
    late.let_go().await.is_error(400, "invalid_grant");
    for token in [&session, &access] {
        service.check(token).await.is(401);
    }
    service.refresh(&next).await.is_error(400, "invalid_grant");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_trades_within_the_grace_one_pair_is_left() {
    let service = Arc::new(Service::start().await);
    service.user("alice", &[]).await;
    let (_, refresh) = service.login_with_refresh("alice").await;
    let late = service.hold(Point::Change, trade(&service, &refresh)).await;
    let (lost, _) = service.traded(&refresh).await;
    let kept = late.let_go().await;
    service.check(&lost).await.is(401);
    service.check(&kept.is(200).text_of("access_token")).await.is(200);
    service.traded(&kept.text_of("refresh_token")).await;
}

/// The first has spent it and not committed: the second sees that, not what was before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trade_waits_for_one_that_is_under_way() {
    for grace in [Duration::ZERO, seconds(30)] {
        let service = Arc::new(Service::with(|config| config.oauth.refresh_grace = grace).await);
        if service.has_one_writer() {
            return;
        }
        service.user("alice", &[]).await;
        let (_, refresh) = service.login_with_refresh("alice").await;
        let first = service.hold(Point::Written, trade(&service, &refresh)).await;
        let second = service.wait(trade(&service, &refresh)).await;
        let (first, second) = (first.let_go().await, second.let_go().await);
        service.check(&first.is(200).text_of("access_token")).await.is(401);
        if grace.is_zero() {
            second.is_error(400, "invalid_grant");
        } else {
            service.check(&second.is(200).text_of("access_token")).await.is(200);
        }
    }
}

/// What was spent long ago comes again, while its successor is being traded: whichever comes first, both end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_ends_what_is_being_traded() {
    let service = Arc::new(Service::start().await);
    service.user("alice", &[]).await;
    for point in [Point::Change, Point::Written, Point::Committed] {
        if service.has_one_writer() && point != Point::Change {
            continue;
        }
        let (_, first) = service.login_with_refresh("alice").await;
        let (access, second) = service.traded(&first).await;
        service.advance(seconds(30));
        let trading = service.hold(point, trade(&service, &second)).await;
        let traded = if point == Point::Written {
            let copied = service.wait(trade(&service, &first)).await;
            let traded = trading.let_go().await;
            copied.let_go().await.is_error(400, "invalid_grant");
            traded
        } else {
            service.refresh(&first).await.is_error(400, "invalid_grant");
            trading.let_go().await
        };
        service.check(&access).await.is(401);
        if point == Point::Change {
            traded.is_error(400, "invalid_grant");
        } else {
            service.check(&traded.is(200).text_of("access_token")).await.is(401);
            service.refresh(&traded.text_of("refresh_token")).await.is_error(400, "invalid_grant");
        }
    }
}

/// The copy is the one that comes first, and has not committed yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_traded_beside_a_copy() {
    let service = Arc::new(Service::start().await);
    if service.has_one_writer() {
        return;
    }
    service.user("alice", &[]).await;
    let (_, first) = service.login_with_refresh("alice").await;
    let (access, second) = service.traded(&first).await;
    service.advance(seconds(30));
    let copied = service.hold(Point::Written, trade(&service, &first)).await;
    let trading = service.wait(trade(&service, &second)).await;
    copied.let_go().await.is_error(400, "invalid_grant");
    trading.let_go().await.is_error(400, "invalid_grant");
    service.check(&access).await.is(401);
}
