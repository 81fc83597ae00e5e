//! A token is read for a check while it changes: what the read brings must not be remembered.

use std::sync::Arc;

use daypass::{pause::Point, token::check};
use poem::http::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Service};

/// A change to a token or to what its user may do: the request, by the user's id and the token's, and whether the user makes it
/// themselves.
type Change = fn(&str, &str) -> (Method, String, Value, bool);

/// By other tokens than the one that is being read: whoever presents that waits for the read.
const CHANGES: [(&str, Change); 8] = [
    ("revoke", |_, id| (Method::DELETE, format!("/v1/tokens/{id}"), json!({}), false)),
    ("rotate", |_, id| (Method::POST, format!("/v1/tokens/{id}/rotate"), json!({}), true)),
    ("log out everywhere", |_, _| (Method::POST, "/v1/logout-all?kinds=api".to_owned(), json!({}), true)),
    ("disable", |user, _| (Method::PATCH, format!("/v1/users/{user}"), json!({ "disabled": true }), false)),
    ("fewer scopes", |user, _| (Method::PATCH, format!("/v1/users/{user}"), json!({ "scopes": [] }), false)),
    ("new password", |user, _| {
        (Method::PATCH, format!("/v1/users/{user}"), json!({ "password": "another fine long phrase" }), false)
    }),
    ("delete", |user, _| (Method::DELETE, format!("/v1/users/{user}"), json!({}), false)),
    ("renew", |_, id| (Method::POST, format!("/v1/tokens/{id}/renew"), json!({ "ttl": 100_000 }), true)),
];

/// A token that works, and one change to it.
struct Round {
    service: Arc<Service>,
    name: &'static str,
    token: String,
    by: String,
    change: (Method, String, Value),
}

/// What the check asks for that is read.
const CHECK: &str = "/v1/check?scope=read";

impl Round {
    /// One for each change, with nothing remembered.
    async fn each(service: &Arc<Service>) -> Vec<Self> {
        let admin = service.admin().await;
        let mut rounds = Vec::new();
        for (number, (name, change)) in CHANGES.into_iter().enumerate() {
            let alice = service.session(&format!("alice{number}"), &["read"]).await;
            let token = service.issue(&alice, json!({ "scopes": ["read"], "ttl": 60 })).await;
            let user = token.member("user")["id"].as_str().unwrap().to_owned();
            let (method, path, body, by_user) = change(&user, &token.text_of("id"));
            let by = if by_user { alice } else { admin.clone() };
            let service = Arc::clone(service);
            rounds.push(Self { service, name, token: token.token(), by, change: (method, path, body) });
        }
        rounds
    }

    /// A check by this process.
    fn check_at(&self, at: &Arc<Service>) -> impl Future<Output = Answer> + Send + use<> {
        at.sent(Method::GET, CHECK, &self.token, json!({}))
    }

    fn change(&self) -> impl Future<Output = Answer> + Send + use<> {
        let (method, path, body) = self.change.clone();
        self.service.sent(method, &path, &self.by, body)
    }

    /// The change was made, and the next check by this process knows.
    async fn is_seen_at(&self, at: &Arc<Service>, changed: &Answer) {
        let name = self.name;
        assert!(changed.status.is_success(), "{name}: {changed:?}");
        let answer = self.check_at(at).await;
        match name {
            "renew" => assert_eq!(answer.member("expires_in"), 100_000, "{name}"),
            "fewer scopes" => assert_eq!(answer.status, 403, "{name}"),
            _ => assert_eq!(answer.status, 401, "{name}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_from_before_a_change_is_not_remembered_after_it() {
    let service = Arc::new(Service::start().await);
    for round in Round::each(&service).await {
        service.look().await;
        service.app.checker.forget_everything();
        let reading = service.hold(Point::Read, round.check_at(&service)).await;
        let changed = round.change().await;
        reading.let_go().await.is(200);
        round.is_seen_at(&service, &changed).await;
    }
}

/// The change is committed, and whoever made it has not been told; what is remembered in that moment is forgotten before they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_remembered_between_a_commit_and_its_answer_is_forgotten() {
    let service = Arc::new(Service::start().await);
    for round in Round::each(&service).await {
        service.look().await;
        service.app.checker.forget_everything();
        let reading = service.hold(Point::Read, round.check_at(&service)).await;
        let changing = service.hold(Point::Committed, round.change()).await;
        reading.let_go().await.is(200);
        round.check_at(&service).await.is(200);
        let changed = changing.let_go().await;
        round.is_seen_at(&service, &changed).await;
    }
}

/// The same against a look that sees the change, which is made elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_from_before_a_look_is_not_remembered_after_it() {
    let service = Arc::new(Service::start().await);
    let replica = Arc::new(service.replica().await);
    for round in Round::each(&service).await {
        replica.look().await;
        replica.app.checker.forget_everything();
        let reading = replica.hold(Point::Read, round.check_at(&replica)).await;
        let changed = round.change().await;
        replica.look().await;
        reading.let_go().await.is(200);
        round.is_seen_at(&replica, &changed).await;
    }
}

/// A change that is made while a look is under way is seen by the next; and memory is as old as the look's beginning, not its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_in_the_middle_of_a_look_is_seen_by_the_next() {
    let service = Arc::new(Service::start().await);
    let replica = Arc::new(service.replica().await);
    let look = || {
        let replica = Arc::clone(&replica);
        async move { replica.look().await }
    };
    for round in Round::each(&service).await {
        replica.look().await;
        replica.app.checker.forget_everything();
        let looking = replica.hold(Point::Counted, look()).await;
        let reading = replica.hold(Point::Read, round.check_at(&replica)).await;
        let changed = round.change().await;
        service.advance_ms(1_000);
        looking.let_go().await;
        reading.let_go().await.is(200);
        round.check_at(&replica).await.is(200);
        if !["renew", "fewer scopes"].contains(&round.name) {
            service.advance_ms(1);
            let checked = check::check(&replica.app, &round.token, service.now()).await;
            assert!(checked.is_err(), "{}: memory was trusted for too long", round.name);
            service.advance_ms(-1);
        }
        replica.look().await;
        if round.name != "renew" {
            round.is_seen_at(&replica, &changed).await;
        }
    }
}

/// A client's own token, and what ends all of a client's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clients_token_that_is_being_read_is_not_remembered_past_the_clients_end() {
    let service = Arc::new(Service::start().await);
    let admin = service.admin().await;
    for (point, deleted) in
        [(None, false), (None, true), (Some(Point::Committed), false), (Some(Point::Committed), true)]
    {
        let client = service.client(&["read"]).await;
        let token = service.client_credentials(&client).await;
        service.app.checker.forget_everything();
        let check = || service.sent(Method::GET, "/v1/check", &token, json!({}));
        let method = if deleted { Method::DELETE } else { Method::PATCH };
        let end = service.sent(method, &format!("/v1/clients/{}", client.id), &admin, json!({ "disabled": true }));
        let reading = service.hold(Point::Read, check()).await;
        let ended = match point {
            None => {
                let ended = end.await;
                reading.let_go().await.is(200);
                ended
            }
            Some(point) => {
                let ending = service.hold(point, end).await;
                reading.let_go().await.is(200);
                check().await.is(200);
                ending.let_go().await
            }
        };
        assert!(ended.status.is_success(), "{ended:?}");
        check().await.is(401);
    }
}
