//! A service to test, and verbs for what tests do with it.

pub mod database;
pub mod process;
pub mod proxy;
pub mod rows;
pub mod server;

use std::{sync::Arc, time::Duration};

use daypass::{
    account::{
        password::Password,
        users::{self, Username},
    },
    api,
    app::App,
    clock::Clock,
    config::Config,
    db,
};
use entity::{Scopes, Timestamp};
use poem::{
    Endpoint, EndpointExt, Request, Response,
    endpoint::BoxEndpoint,
    http::{HeaderMap, Method, StatusCode},
};
use serde_json::{Value, json};

use database::Database;

/// The password of every user that a test makes.
pub const PASSWORD: &str = "correct horse battery staple";

/// When every test begins.
pub const START: Timestamp = Timestamp::from_millis(1_795_510_800_000);

/// A service on a database of its own, asked without a socket, with a clock that only the test moves.
pub struct Service {
    pub app: Arc<App>,
    endpoint: BoxEndpoint<'static, Response>,
    _database: Database,
}

/// What a request was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Service {
    /// With the default settings, but for hashes that cost next to nothing.
    pub async fn start() -> Self {
        Self::with(|_| ()).await
    }

    /// With settings of one's own.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::on(Database::create().await, change).await
    }

    /// On this database.
    pub async fn on(database: Database, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = settings(&database);
        change(&mut config);
        let app = App::open(config, Clock::manual(START)).await.expect("the database opens");
        db::migrate::up(&app.db).await.expect("the schema is made");
        let endpoint = api::routes(&app).boxed();
        Self { app, endpoint, _database: database }
    }

    /// Another process on the same database: it shares nothing else.
    pub async fn replica(&self) -> Self {
        let mut app = App::open(self.app.config.clone(), self.app.clock.clone()).await.expect("the database opens");
        // Tests run all of them in one process, by which they are named.
        "replica/2".clone_into(&mut Arc::get_mut(&mut app).unwrap().replica);
        let endpoint = api::routes(&app).boxed();
        Self { app, endpoint, _database: Database::borrowed() }
    }

    /// Ends, and begins anew on the same database: what was in memory is gone, but for what is written at the end.
    pub async fn restart(&mut self) {
        self.flush().await;
        self.app.db.close().await;
        let app = App::open(self.app.config.clone(), self.app.clock.clone()).await.expect("the database opens");
        (self.endpoint, self.app) = (api::routes(&app).boxed(), app);
    }

    pub fn now(&self) -> Timestamp {
        self.app.clock.now()
    }

    pub fn advance(&self, duration: Duration) {
        self.advance_ms(i64::try_from(duration.as_millis()).unwrap());
    }

    pub fn advance_ms(&self, millis: i64) {
        self.app.clock.advance(millis);
    }

    /// Moves the clock to so many milliseconds from an instant that the service told.
    pub fn set_to(&self, instant: &Value, offset: i64) {
        let instant: Timestamp = instant.as_str().unwrap().parse().unwrap();
        self.advance_ms(instant.millis() + offset - self.now().millis());
    }

    /// Looks for changes made elsewhere if memory would not be answered from otherwise: a running service looks a few
    /// times a second, a test's clock stands still between two steps.
    async fn look_if_overdue(&self) {
        if !self.app.checker.is_fresh(self.app.clock.uptime()) {
            // Where that fails, as on an empty database, checks ask the database themselves.
            drop(daypass::token::changes::look(&self.app).await);
        }
    }

    /// Looks for changes made elsewhere.
    pub async fn look(&self) {
        daypass::token::changes::look(&self.app).await.unwrap();
    }

    /// Writes what is known of the use of tokens.
    pub async fn flush(&self) {
        daypass::token::usage::flush(&self.app).await.unwrap();
    }

    /// Puts tokens into the database, see [`rows::fill`].
    pub async fn fill(&self, stale: i64, live: i64) {
        rows::fill(self.app.db.writer(), self.now(), stale, live).await;
    }

    /// Makes a user that may have these scopes.
    pub async fn user(&self, name: &str, scopes: &[&str]) {
        let name = Username::parse(name).unwrap();
        let scopes = Scopes::collect(scopes).unwrap();
        let password = Password::new(PASSWORD.to_owned());
        users::create(&self.app, &name, password, scopes, &daypass::audit::Actor::system(), self.now()).await.unwrap();
    }

    /// Makes a user and logs them in: their session token.
    pub async fn session(&self, name: &str, scopes: &[&str]) -> String {
        self.user(name, scopes).await;
        self.login(name, json!({})).await.token()
    }

    /// Makes an administrator and logs them in.
    pub async fn admin(&self) -> String {
        self.session("admin", &[Scopes::ADMIN]).await
    }

    /// Logs in, with more fields if wanted.
    pub async fn login(&self, name: &str, more: Value) -> Answer {
        let mut body = json!({ "username": name, "password": PASSWORD });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.post("/v1/login", None, body).await
    }

    /// Issues an `api` token by a session.
    pub async fn issue(&self, session: &str, wanted: Value) -> Answer {
        self.post("/v1/tokens", Some(session), wanted).await
    }

    pub async fn check(&self, token: &str) -> Answer {
        self.get("/v1/check", Some(token)).await
    }

    pub async fn get(&self, path: &str, token: Option<&str>) -> Answer {
        self.send(Method::GET, path, &authorization(token), "").await
    }

    pub async fn delete(&self, path: &str, token: Option<&str>) -> Answer {
        self.send(Method::DELETE, path, &authorization(token), "").await
    }

    pub async fn post(&self, path: &str, token: Option<&str>, body: Value) -> Answer {
        self.json(Method::POST, path, token, body).await
    }

    pub async fn json(&self, method: Method, path: &str, token: Option<&str>, body: Value) -> Answer {
        let mut headers = authorization(token);
        headers.push(("content-type", "application/json".to_owned()));
        self.send(method, path, &headers, body.to_string()).await
    }

    pub async fn form(&self, path: &str, body: &str) -> Answer {
        let form = ("content-type", "application/x-www-form-urlencoded".to_owned());
        self.send(Method::POST, path, &[form], body.to_owned()).await
    }

    /// Any request at all.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, String)],
        body: impl Into<poem::Body>,
    ) -> Answer {
        self.look_if_overdue().await;
        let mut request = Request::builder().method(method).uri(path.parse().unwrap());
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let response = self.endpoint.get_response(request.body(body)).await;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.into_body().into_string().await.unwrap();
        let answer = Answer { status, headers, text };
        answer.check_what_is_always_true();
        answer
    }

    /// Gets what may be no text.
    pub async fn bytes(&self, path: &str, headers: &[(&str, &str)]) -> (HeaderMap, Vec<u8>) {
        let mut request = Request::builder().uri(path.parse().unwrap());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.endpoint.get_response(request.finish()).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        (response.headers().clone(), response.into_body().into_vec().await.unwrap())
    }
}

fn authorization(token: Option<&str>) -> Vec<(&'static str, String)> {
    token.map(|token| ("authorization", format!("Bearer {token}"))).into_iter().collect()
}

/// The defaults, on this database, with hashes that cost next to nothing.
pub fn settings(database: &Database) -> Config {
    let mut config = Config { database_url: database.url().to_owned(), ..Config::default() };
    config.database.max_connections = 6;
    config.passwords.memory_kib = 8;
    config.passwords.iterations = 1;
    config.passwords.concurrency = 1;
    config.limits.login_per_minute_per_ip = 0;
    config
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// One member of the JSON that was answered.
    pub fn member(&self, name: &str) -> Value {
        self.json().get(name).cloned().unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    pub fn text_of(&self, name: &str) -> String {
        self.member(name).as_str().unwrap_or_else(|| panic!("{name} is no text in {self:?}")).to_owned()
    }

    /// The token that was issued.
    #[track_caller]
    pub fn token(&self) -> String {
        assert!(self.status.is_success(), "{self:?}");
        self.text_of("token")
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }

    /// A problem (RFC 9457) that names this field.
    #[track_caller]
    pub fn is_about(&self, status: u16, field: &str) -> &Self {
        self.is_problem(status);
        assert_eq!(self.member("errors")[0]["field"], field, "{self:?}");
        self
    }

    /// A problem (RFC 9457).
    #[track_caller]
    pub fn is_problem(&self, status: u16) -> &Self {
        self.is(status);
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.member("status"), status);
        assert!(self.text_of("title").len() > 2 && self.text_of("type").len() > 2);
        self
    }

    /// What holds for every answer there is.
    fn check_what_is_always_true(&self) {
        assert!(!self.header("x-request-id").is_empty(), "{self:?}");
        assert!(!self.header("cache-control").is_empty(), "{self:?}");
        assert!(self.status != 401 || !self.header("www-authenticate").is_empty(), "{self:?}");
        assert!(self.status != 405 || !self.header("allow").is_empty(), "{self:?}");
        assert!(self.status != 429 && self.status != 503 || !self.header("retry-after").is_empty(), "{self:?}");
    }
}

/// So many seconds as a duration.
pub fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn days(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 60 * 60)
}
