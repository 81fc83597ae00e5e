//! A token is renewed, or its use is written, while it is revoked: revoked it stays.

use std::sync::Arc;

use daypass::pause::Point;
use poem::http::Method;
use serde_json::json;

use crate::support::{Answer, Service, seconds};

/// An administrator, and a token that slides and was used, which is not written yet.
async fn start() -> (Arc<Service>, String, Answer) {
    let service = Arc::new(Service::start().await);
    let admin = service.admin().await;
    let token = service.issue(&admin, json!({ "idle_timeout": 60, "ttl": 100 })).await;
    service.flush().await;
    service.advance(seconds(30));
    service.check(&token.token()).await.is(200);
    (service, admin, token)
}

fn revoke(service: &Arc<Service>, admin: &str, token: &Answer) -> impl Future<Output = Answer> + Send + use<> {
    service.sent(Method::DELETE, &format!("/v1/tokens/{}", token.text_of("id")), admin, json!({}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_revoked_before_a_renewal_is_written_is_not_renewed() {
    let (service, admin, token) = start().await;
    let renewing = service.hold(Point::Change, service.renewed(&token, &admin)).await;
    revoke(&service, &admin, &token).await.is(204);
    let revoked = service.row(&token).await.unwrap();
    renewing.let_go().await.is_problem(409);
    assert_eq!(service.row(&token).await.unwrap(), revoked);
    service.check(&token.token()).await.is(401);
}

/// The renewal has read the row, and the revocation comes before it has written: it has to wait, and holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_between_the_read_and_the_write_of_a_renewal_holds() {
    for point in [Point::Locked, Point::Written] {
        let (service, admin, token) = start().await;
        if service.has_one_writer() {
            return;
        }
        let renewing = service.hold(point, service.renewed(&token, &admin)).await;
        let revoking = service.wait(revoke(&service, &admin, &token)).await;
        renewing.let_go().await.is(200);
        revoking.let_go().await.is(204);
        assert!(service.row(&token).await.unwrap().revoked_at.is_some());
        service.check(&token.token()).await.is(401);
    }
}

/// And the other way round.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_that_waited_for_a_revocation_is_refused() {
    let (service, admin, token) = start().await;
    if service.has_one_writer() {
        return;
    }
    let revoking = service.hold(Point::Written, revoke(&service, &admin, &token)).await;
    let renewing = service.wait(service.renewed(&token, &admin)).await;
    revoking.let_go().await.is(204);
    renewing.let_go().await.is_problem(409);
    service.check(&token.token()).await.is(401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_use_that_is_about_to_be_written_does_not_touch_what_was_revoked() {
    let (service, admin, token) = start().await;
    let flushing = service.hold(Point::Uses, service.flushed()).await;
    revoke(&service, &admin, &token).await.is(204);
    let revoked = service.row(&token).await.unwrap();
    flushing.let_go().await;
    assert_eq!(service.row(&token).await.unwrap(), revoked);
    assert_eq!(revoked.last_used_at, None);
    service.check(&token.token()).await.is(401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_waits_for_a_use_that_is_being_written() {
    let (service, admin, token) = start().await;
    if service.has_one_writer() {
        return;
    }
    let flushing = service.hold(Point::UsesWritten, service.flushed()).await;
    let revoking = service.wait(revoke(&service, &admin, &token)).await;
    flushing.let_go().await;
    revoking.let_go().await.is(204);
    let row = service.row(&token).await.unwrap();
    assert_eq!((row.revoked_at, row.last_used_at), (Some(service.now()), Some(service.now())));
    service.check(&token.token()).await.is(401);
}
