//! What a program notices of a guard: what a [`Remote`] remembers, and for how long, by a clock that only the test moves. The
//! Daypass that it asks is an [`Embedded`] one behind a listener of the framework's, which counts the questions.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use daypass::{
    account::{
        password::Password,
        users::{self, Username},
    },
    audit::Actor,
    client,
    clock::Clock,
    config::Config,
    guard::{Caller, Embedded, Guard, Remote, Scopes, Settings},
    token::{
        issue::{self, Wanted},
        revoke::{self, Why},
    },
};
use poem::{
    Endpoint, EndpointExt, Request, Response, Route, Server, get, handler,
    http::{HeaderMap, StatusCode, header},
    listener::{Acceptor, Listener, TcpListener},
};
use tempfile::TempDir;
use uuid::Uuid;

use crate::service::PASSWORD;

/// A Daypass that listens, with a user who may read and write orders.
struct Daypass {
    embedded: Embedded,
    user: Uuid,
    url: String,
    client_id: String,
    secret: String,
    questions: Arc<AtomicUsize>,
    _folder: TempDir,
}

impl Daypass {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config =
            Config { database_url: format!("sqlite://{}/daypass.db", folder.path().display()), ..Config::default() };
        (config.passwords.memory_kib, config.passwords.iterations) = (8, 1);
        let embedded = Embedded::start(config).await.unwrap();
        let (app, now) = (embedded.app(), Clock::System.now());
        let name = Username::parse("alice").unwrap();
        let scopes = Scopes::collect(["orders:read", "orders:write"]).unwrap();
        let user = users::create(app, &name, Password::new(PASSWORD.to_owned()), scopes, &Actor::system(), now)
            .await
            .unwrap()
            .id;
        let introspects = client::New {
            name: "shop".to_owned(),
            scopes: Scopes::collect([Scopes::INTROSPECT]).unwrap(),
            grants: client::default_grants(),
        };
        let made = client::create(app, introspects, &Actor::system(), now).await.unwrap();

        let questions = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&questions);
        let routes = embedded.routes().around(move |next, request: Request| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move {
                // Long enough for those who come at once to come meanwhile.
                tokio::time::sleep(Duration::from_millis(50)).await;
                next.call(request).await
            }
        });
        Self {
            user,
            url: serve(routes).await,
            client_id: made.client.client_id,
            secret: made.secret.expose().to_owned(),
            questions,
            embedded,
            _folder: folder,
        }
    }

    async fn issue(&self, ttl: i64, scopes: &[&str]) -> (Uuid, String) {
        let wanted = Wanted { ttl: Some(ttl), scopes: Some(Scopes::collect(scopes).unwrap()), ..Wanted::default() };
        let issued = issue::api(self.embedded.app(), self.user, wanted, None, &Actor::system(), Clock::System.now())
            .await
            .unwrap();
        (issued.held.id(), issued.secret.expose().to_owned())
    }

    async fn reader(&self) -> (Uuid, String) {
        self.issue(3600, &["orders:read"]).await
    }

    async fn revoke(&self, token: Uuid) {
        revoke::one(self.embedded.app(), token, &Actor::system(), Why::Requested, Clock::System.now()).await.unwrap();
    }

    fn remote(&self, settings: &Settings) -> Remote {
        Remote::new(&self.url, &self.client_id, &self.secret, settings).unwrap()
    }

    fn guard(&self, settings: &Settings) -> Guard {
        Guard::new(&self.remote(settings)).scope("orders:read")
    }

    fn questions(&self) -> usize {
        self.questions.load(Ordering::SeqCst)
    }
}

/// Serves on a free port until the test ends; the address.
pub async fn serve(routes: impl Endpoint + 'static) -> String {
    let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await.unwrap();
    let address = acceptor.local_addr()[0].as_socket_addr().copied().unwrap();
    tokio::spawn(Server::new_with_acceptor(acceptor).run(routes));
    format!("http://{address}")
}

/// With a clock that shows the present until it is moved.
fn by_hand() -> (Clock, Settings) {
    let clock = Clock::manual(Clock::System.now());
    (clock.clone(), Settings { clock, ..Settings::default() })
}

pub fn presenting(token: &str) -> HeaderMap {
    HeaderMap::from_iter([(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap())])
}

/// The status that this token is answered.
pub async fn status(guard: &Guard, token: &str) -> u16 {
    guard.admit(&presenting(token)).await.map_or_else(|error| error.to_http().status().as_u16(), |_| 200)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_is_seen_when_keep_is_over_and_not_before() {
    let daypass = Daypass::start().await;
    let (clock, settings) = by_hand();
    let guard = daypass.guard(&settings);
    let (id, token) = daypass.reader().await;
    assert_eq!(status(&guard, &token).await, 200);
    daypass.revoke(id).await;
    clock.advance(4_999);
    assert_eq!((status(&guard, &token).await, daypass.questions()), (200, 1), "remembered");
    clock.advance(1);
    assert_eq!((status(&guard, &token).await, daypass.questions()), (401, 2));
    clock.advance(999);
    assert_eq!((status(&guard, &token).await, daypass.questions()), (401, 2), "that too is remembered");
    clock.advance(1);
    assert_eq!((status(&guard, &token).await, daypass.questions()), (401, 3), "but not for as long");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_remembered_beyond_the_end_of_a_token() {
    let daypass = Daypass::start().await;
    let (clock, settings) = by_hand();
    let guard = daypass.guard(&Settings { keep: Duration::from_secs(1_000_000), ..settings });
    let (_, token) = daypass.issue(60, &["orders:read"]).await;
    let caller = guard.admit(&presenting(&token)).await.unwrap();
    clock.advance(caller.expires_at.millis_since(clock.now()) - 1);
    assert_eq!((status(&guard, &token).await, daypass.questions()), (200, 1));
    clock.advance(1);
    // It may have been renewed, and by the clock of that Daypass it still works.
    assert_eq!((status(&guard, &token).await, daypass.questions()), (200, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keep_every_request_asks() {
    let daypass = Daypass::start().await;
    let guard = daypass.guard(&Settings { keep: Duration::ZERO, ..by_hand().1 });
    let (id, token) = daypass.reader().await;
    assert_eq!((status(&guard, &token).await, status(&guard, &token).await, daypass.questions()), (200, 200, 2));
    daypass.revoke(id).await;
    assert_eq!((status(&guard, &token).await, status(&guard, &token).await, daypass.questions()), (401, 401, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_present_one_token_at_once_one_asks() {
    let daypass = Daypass::start().await;
    let guard = daypass.guard(&Settings::default());
    let (_, token) = daypass.reader().await;
    let asking = (0..50).map(|_| status(&guard, &token));
    assert_eq!(futures_util::future::join_all(asking).await, [200; 50]);
    assert_eq!(daypass.questions(), 1);
}

/// Whoever asks and goes away does not take the answer from those who wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn one_who_goes_away_is_followed_by_another() {
    let daypass = Daypass::start().await;
    let guard = daypass.guard(&Settings::default());
    let (_, token) = daypass.reader().await;
    let gone = async {
        let mut asking = pin!(status(&guard, &token));
        assert!(poll_fn(|context| Poll::Ready(asking.as_mut().poll(context).is_pending())).await);
        // Until the other waits for its answer.
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let ((), waited) = tokio::join!(gone, status(&guard, &token));
    assert_eq!(waited, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_answers_are_remembered() {
    let daypass = Daypass::start().await;
    let keep = Duration::from_secs(1000);
    let guard = daypass.guard(&Settings { entries: 8, keep, keep_inactive: keep, ..Settings::default() });
    let ask = || async {
        let asking = (0..100).map(|at| {
            let guard = guard.clone();
            async move { status(&guard, &format!("unknown{at}")).await }
        });
        assert_eq!(futures_util::future::join_all(asking).await, [401; 100]);
    };
    ask().await;
    assert_eq!(daypass.questions(), 100);
    ask().await;
    assert!(daypass.questions() >= 192, "{} questions", daypass.questions());
}

#[tokio::test(flavor = "multi_thread")]
async fn both_kinds_tell_the_same_of_a_caller() {
    let daypass = Daypass::start().await;
    let (id, token) = daypass.issue(3600, &["orders:read", "orders:write"]).await;
    let remote = daypass.guard(&Settings::default()).admit(&presenting(&token)).await.unwrap();
    let mut embedded = Guard::new(&daypass.embedded).admit(&presenting(&token)).await.unwrap();
    // Introspection tells whole seconds (RFC 7662), never later than the end.
    let cut = embedded.expires_at.millis_since(remote.expires_at);
    assert!((0..1000).contains(&cut), "{cut}");
    embedded.expires_at = remote.expires_at;
    assert_eq!(remote, embedded);
    assert_eq!((remote.token_id, remote.user_id, remote.username.as_deref()), (id, Some(daypass.user), Some("alice")));
    assert!(remote.holds("orders:write") && !remote.holds("orders"));
    let printed = format!("{remote:?}{:?}{daypass:?}", daypass.guard(&Settings::default()), daypass = daypass.embedded);
    assert!(!printed.contains(&token) && !printed.contains(&daypass.secret), "{printed}");
}

#[handler]
fn whose(caller: Caller) -> String {
    caller.username.unwrap_or_default()
}

#[handler]
fn write(caller: Caller) -> poem::Result<String> {
    caller.must_hold(&["orders:read", "orders:write"])?;
    Ok(format!("written by {}", caller.username.unwrap_or_default()))
}

async fn answer(routes: &impl Endpoint<Output = Response>, path: &str, token: Option<&str>) -> (StatusCode, String) {
    let mut request = Request::builder().uri(path.parse().unwrap()).finish();
    *request.headers_mut() = token.map(presenting).unwrap_or_default();
    let response = routes.get_response(request).await;
    (response.status(), response.into_body().into_string().await.unwrap())
}

/// As data a guard checks for the handlers that ask, and the others are open.
#[tokio::test(flavor = "multi_thread")]
async fn a_handler_may_ask_for_itself() {
    let daypass = Daypass::start().await;
    let (_, token) = daypass.reader().await;
    let routes = Route::new()
        .at("/open", get(poem::endpoint::make_sync(|_| "open")))
        .at("/whose", get(whose))
        .at("/write", get(write));
    let routes = routes.data(Guard::new(&daypass.embedded)).map_to_response();
    assert_eq!(answer(&routes, "/open", None).await, (StatusCode::OK, "open".to_owned()));
    assert_eq!(answer(&routes, "/whose", Some(&token)).await, (StatusCode::OK, "alice".to_owned()));
    assert_eq!(answer(&routes, "/whose", None).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(answer(&routes, "/write", Some(&token)).await.0, StatusCode::FORBIDDEN);
    let (_, writer) = daypass.issue(60, &["orders:read", "orders:write"]).await;
    assert_eq!(answer(&routes, "/write", Some(&writer)).await, (StatusCode::OK, "written by alice".to_owned()));
}

/// Whoever forgets the guard has a service that lets nobody in.
#[tokio::test]
async fn without_a_guard_nobody_is_a_caller() {
    let routes = Route::new().at("/whose", get(whose)).map_to_response();
    assert_eq!(answer(&routes, "/whose", Some("dps_any")).await.0, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scope_is_needed_and_no_scope_is_nobodys() {
    let daypass = Daypass::start().await;
    let (_, token) = daypass.reader().await;
    let guard = Guard::new(&daypass.embedded).scope("orders:read");
    assert_eq!(status(&guard, &token).await, 200);
    for scope in ["orders:write", "", "orders:read orders:write", "orders:\"", "caf\u{e9}"] {
        assert_eq!(status(&guard.clone().scope(scope), &token).await, 403, "{scope}");
    }
}

/// Without the look at changes every check would ask the database, and nobody would notice but by the time it takes.
#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_one_keeps_its_memory_fresh() {
    let daypass = Daypass::start().await;
    let app = daypass.embedded.app();
    // The look at the start is good for a second.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    for _ in 0..100 {
        if app.checker.is_fresh(app.clock.uptime()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("memory is not answered from");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daypass_that_was_stopped_is_503() {
    let daypass = Daypass::start().await;
    let (_, token) = daypass.reader().await;
    let guard = Guard::new(&daypass.embedded);
    assert_eq!(status(&guard, &token).await, 200);
    daypass.embedded.stop().await;
    // Memory is answered from while the last look at changes is fresh.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(status(&guard, &token).await, 503);
}
