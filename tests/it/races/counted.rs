//! A user may have one token more, and two are made at the same moment.

use std::sync::Arc;

use daypass::pause::Point;
use serde_json::json;

use crate::support::{Answer, Service};

async fn start() -> Arc<Service> {
    let service = Service::with(|config| {
        config.tokens.session.per_user_limit = 2;
        config.tokens.api.per_user_limit = 1;
        config.limits.login_failures_before_lock = 0;
    });
    Arc::new(service.await)
}

/// A login where a session makes it, else one that asks for a token.
fn make(service: &Arc<Service>, session: Option<&str>) -> impl Future<Output = Answer> + Send + use<> {
    let (service, session) = (Arc::clone(service), session.map(str::to_owned));
    async move {
        match session {
            Some(session) => service.issue(&session, json!({})).await,
            None => service.login("alice", json!({})).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_counted_is_what_is_there_when_it_is_written() {
    let service = start().await;
    let session = service.session("alice", &[]).await;
    for by in [None, Some(session.as_str())] {
        let late = service.hold(Point::Change, make(&service, by)).await;
        assert!(make(&service, by).await.status.is_success());
        late.let_go().await.is_problem(409);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_committed_yet_counts_too() {
    let service = start().await;
    if service.has_one_writer() {
        return;
    }
    let session = service.session("alice", &[]).await;
    for by in [None, Some(session.as_str())] {
        let first = service.hold(Point::Written, make(&service, by)).await;
        let second = service.wait(make(&service, by)).await;
        assert!(first.let_go().await.status.is_success());
        second.let_go().await.is_problem(409);
    }
}
