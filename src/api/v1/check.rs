//! Does this token work now, and for whom: the operation that stands in front of other services.
//!
//! It looks only at the credential, answers 200, 401, 403 and 503 and nothing else (proxies turn anything else into a
//! 500), and puts every identity header on every 200: one that were missing could let a client's own through.
//!
//! This is the one operation that is asked on every request of everybody's service, so it is answered by [`answer`],
//! ahead of all routing (see `api/shell.rs`): going through the framework's own extractors and response types
//! costs more than the check itself. What the document says of it is generated from the types below, and a test holds
//! the two equal.

use std::sync::Arc;

use entity::Timestamp;
use poem::{
    IntoResponse, Request, Response,
    http::{HeaderName, HeaderValue, StatusCode, header},
    web::Data,
};
use poem_openapi::{
    ApiResponse, Object, OpenApi,
    param::Query,
    payload::Json,
    registry::{MetaResponses, Registry},
    types::Example,
};
use url::form_urlencoded;
use uuid::Uuid;

use crate::{
    api::{
        auth::{Credential, Documented, credential},
        json::TokenInfo,
        plain_json::Object as Written,
        problem::{self, ApiError},
        tags::Tag,
    },
    app::App,
    error::Refusal,
    token::{
        Held,
        check::{self, Checked, Failure},
        precision,
    },
};

/// Where it is. Envoy appends the path of the request that it asks about.
pub const PATH: &str = "/v1/check";

/// Whether a request to this path is a check.
pub fn is_check(path: &str) -> bool {
    path.strip_prefix(PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Answers a check, whatever its method; a body is not read.
pub async fn answer(app: &App, request: &Request) -> Response {
    let now = app.clock.now();
    let token = match credential(request.headers()) {
        Credential::Token(token) => token,
        Credential::None => return problem::refused(None),
        Credential::Unreadable => return problem::refused(Some(Refusal::Unknown)),
    };
    match check::check(app, token, now).await {
        Ok(checked) => match request.uri().query().map(needed) {
            Some(needed) if !needed.iter().all(|scope| checked.held.holds(scope)) => {
                ApiError::insufficient_scope(&needed.join(" ")).into_response()
            }
            Some(_) | None => active(app, &checked, now),
        },
        Err(Failure::Refused(refusal)) => problem::refused(Some(refusal)),
        Err(Failure::Unanswered(error)) => ApiError::from(error).into_response(),
    }
}

/// The scopes that are asked for: each `scope` of the query holds one or, separated by spaces, several.
fn needed(query: &str) -> Vec<String> {
    let asked = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "scope");
    let scopes = asked.flat_map(|(_, scopes)| scopes.split(' ').map(str::to_owned).collect::<Vec<_>>());
    scopes.filter(|scope| !scope.is_empty()).collect()
}

const USER_ID: HeaderName = HeaderName::from_static("x-daypass-user-id");
const TOKEN_ID: HeaderName = HeaderName::from_static("x-daypass-token-id");
const SCOPE: HeaderName = HeaderName::from_static("x-daypass-scope");
const EXPIRES_AT: HeaderName = HeaderName::from_static("x-daypass-expires-at");
const REMOTE_USER: HeaderName = HeaderName::from_static("remote-user");

fn active(app: &App, checked: &Checked, now: Timestamp) -> Response {
    let held = &*checked.held;
    let mut response = Response::default();
    response.set_status(StatusCode::OK);
    let headers = response.headers_mut();
    headers.reserve(16);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(REMOTE_USER, value(held.username()));
    headers.insert(USER_ID, held.user_id().map_or(HeaderValue::from_static(""), id));
    headers.insert(TOKEN_ID, id(held.id()));
    headers.insert(SCOPE, value(held.scope()));
    headers.insert(EXPIRES_AT, value(held.expires_at().text().as_str()));
    headers.insert(header::CACHE_CONTROL, cache_control(app, checked, now));
    response.set_body(body(app, held, now));
    response
}

/// User names and scopes are printable ASCII, so they always are values.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

fn id(id: Uuid) -> HeaderValue {
    value(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
}

/// How long the answer stays true: never beyond the presented secret's life, nor beyond what the operator allows.
fn cache_control(app: &App, checked: &Checked, now: Timestamp) -> HeaderValue {
    let left = checked.expires_at().millis_since(now).max(0) / 1000;
    match u64::try_from(left).unwrap_or(0).min(app.config.check.proxy_max_age.as_secs()) {
        0 => HeaderValue::from_static("private, max-age=0"),
        seconds => value(&format!("private, max-age={seconds}")),
    }
}

/// [`ActiveToken`] as it is written: the same members in the same order, put together by hand.
fn body(app: &App, held: &Held, now: Timestamp) -> String {
    let expires_at = held.expires_at();
    let mut json = Written::new();
    json.bare("active", "true");
    json.id("id", held.id());
    json.plain("kind", held.kind().name());
    json.plain("state", held.life().state(now, precision(app)).name());
    json.free("name", held.name());
    json.plain("hint", held.hint());
    match held.user_id() {
        Some(id) => {
            json.open("user");
            json.id("id", id);
            json.plain("username", held.username());
            json.close();
        }
        None => json.bare("user", "null"),
    }
    json.free("client_id", held.client_id());
    json.words("scopes", held.scope());
    json.time("created_at", Some(held.created_at()));
    json.time("expires_at", Some(expires_at));
    json.number("expires_in", Some(expires_at.millis_since(now).max(0) / 1000));
    json.time("max_expires_at", Some(held.max_expires_at()));
    json.number("idle_timeout", held.idle_timeout());
    json.time("last_used_at", held.last_used_at());
    json.time("revoked_at", held.revoked_at());
    json.plain("limited_by", held.limited_by().name());
    json.close();
    json.0
}

/// Checking.
#[derive(Debug)]
pub struct CheckApi;

/// A token that works.
#[derive(Debug, Object)]
#[oai(example)]
pub struct ActiveToken {
    /// Always true.
    active: bool,
    /// What is known of it.
    #[oai(flatten)]
    info: TokenInfo,
}

impl Example for ActiveToken {
    fn example() -> Self {
        Self { active: true, info: TokenInfo::example() }
    }
}

/// The token works: what the document says of the answer.
#[derive(ApiResponse)]
pub enum Described {
    /// The token works.
    #[oai(status = 200)]
    Active(
        Json<ActiveToken>,
        /// The user name; empty for a client's own token.
        #[oai(header = "Remote-User")]
        String,
        /// The user id; empty for a client's own token.
        #[oai(header = "X-Daypass-User-Id")]
        String,
        /// The token id.
        #[oai(header = "X-Daypass-Token-Id")]
        String,
        /// What the token may do, separated by spaces.
        #[oai(header = "X-Daypass-Scope")]
        String,
        /// When the token stops working.
        #[oai(header = "X-Daypass-Expires-At")]
        String,
        /// How long a proxy may remember this answer.
        #[oai(header = "Cache-Control")]
        String,
    ),
}

/// An answer that [`answer`] made; the document describes it as [`Described`] or a problem.
pub struct Answer(Response);

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        self.0
    }
}

impl ApiResponse for Answer {
    fn meta() -> MetaResponses {
        let mut meta = Described::meta();
        meta.responses.extend(ApiError::meta().responses);
        meta
    }

    fn register(registry: &mut Registry) {
        Described::register(registry);
        ApiError::register(registry);
    }
}

#[OpenApi(prefix_path = "/v1/check", tag = "Tag::Check")]
impl CheckApi {
    /// Check the presented token
    ///
    /// Made for nginx `auth_request`, Traefik `ForwardAuth`, Caddy `forward_auth` and Envoy `ext_authz`, and for services
    /// that ask themselves. Whatever follows `/v1/check/` in the path is not looked at, for Envoy appends the path that it
    /// asks about; any method is answered.
    #[oai(path = "/", method = "get", operation_id = "checkToken")]
    async fn get(
        &self,
        _token: Documented,
        request: &Request,
        app: Data<&Arc<App>>,
        /// A scope that the token must hold; may be repeated, and all are needed.
        #[oai(name = "scope")]
        _scope: Query<Vec<String>>,
    ) -> Answer {
        Answer(answer(&app, request).await)
    }

    /// Check the presented token, without a body in the answer
    ///
    /// The headers are those of `checkToken`.
    #[oai(path = "/", method = "head", operation_id = "checkTokenHead")]
    async fn head(
        &self,
        _token: Documented,
        request: &Request,
        app: Data<&Arc<App>>,
        /// A scope that the token must hold; may be repeated, and all are needed.
        #[oai(name = "scope")]
        _scope: Query<Vec<String>>,
    ) -> Answer {
        Answer(answer(&app, request).await)
    }

    /// Check the presented token, asked with POST
    ///
    /// For proxies that ask with the method of the request they were given. A body is not read.
    #[oai(path = "/", method = "post", operation_id = "checkTokenPost")]
    async fn post(
        &self,
        _token: Documented,
        request: &Request,
        app: Data<&Arc<App>>,
        /// A scope that the token must hold; may be repeated, and all are needed.
        #[oai(name = "scope")]
        _scope: Query<Vec<String>>,
    ) -> Answer {
        Answer(answer(&app, request).await)
    }
}
