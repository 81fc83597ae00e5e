//! Does this token work now, and for whom: the operation that stands in front of other services.
//!
//! It looks only at the credential, answers 200, 401, 403 and 503 and nothing else (proxies turn anything else into a
//! 500), and puts every identity header on every 200: one that were missing could let a client's own through.
//!
//! This is the one operation that is asked on every request of everybody's service, so it is answered by [`answer`],
//! ahead of all routing (see `api/shell.rs`): going through the framework's own extractors and response types
//! costs more than the check itself. What the document says of it is generated from the types below, and a test holds
//! the two equal.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use entity::Timestamp;
use poem::{
    IntoResponse, Request, Response,
    http::{self, HeaderMap, HeaderName, HeaderValue, header},
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
        auth::{Bearer, Credential, Documented, credential},
        front::of_framework,
        json::TokenInfo,
        plain_json::{ObjectWriter, write_number},
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
pub async fn answer(app: &App, headers: &HeaderMap, query: Option<&str>) -> http::Response<Bytes> {
    let now = app.clock.now();
    let token = match credential(headers) {
        Credential::Token(token) => token,
        Credential::None => return problem::refused(None),
        Credential::Unreadable => return problem::refused(Some(Refusal::Unknown)),
    };
    match check::check(app, token, now).await {
        Ok(checked) => match query.map(needed) {
            Some(needed) if !needed.iter().all(|scope| checked.held.holds(scope)) => {
                ApiError::insufficient_scope(&needed.join(" ")).to_http()
            }
            Some(_) | None => active(app, &checked, now),
        },
        Err(Failure::Refused(refusal)) => problem::refused(Some(refusal)),
        Err(Failure::Unanswered(error)) => ApiError::from(error).to_http(),
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

/// All that this answer says and others do not lies in one piece of memory, the values of the headers before the body: an
/// allocation for each would take longer than finding the token.
fn active(app: &App, checked: &Checked, now: Timestamp) -> http::Response<Bytes> {
    let held = &*checked.held;
    // Room for all but the longest names and scopes.
    let mut text = Vec::with_capacity(1024);
    let values = [
        (header::CACHE_CONTROL, cache_control(&mut text, proxy_may_keep(app, checked, now))),
        (REMOTE_USER, append(&mut text, held.username().as_bytes())),
        (USER_ID, held.user_id().map_or(0..0, |id| append_id(&mut text, id))),
        (TOKEN_ID, append_id(&mut text, held.id())),
        (SCOPE, append(&mut text, held.scope().as_bytes())),
        (EXPIRES_AT, append(&mut text, held.expires_at().text().as_bytes())),
    ];
    let body_at = text.len();
    write_body(&mut text, app, held, now);
    let text = Bytes::from(text);

    let mut response = http::Response::new(text.slice(body_at..));
    let headers = response.headers_mut();
    // With those that the shell adds.
    headers.reserve(16);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    for (name, value) in values {
        // User names and scopes are printable ASCII, so they always are values.
        let value = HeaderValue::from_maybe_shared(text.slice(value));
        headers.insert(name, value.unwrap_or(HeaderValue::from_static("")));
    }
    response
}

fn append(text: &mut Vec<u8>, value: &[u8]) -> Range<usize> {
    let from = text.len();
    text.extend_from_slice(value);
    from..text.len()
}

fn append_id(text: &mut Vec<u8>, id: Uuid) -> Range<usize> {
    append(text, id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes())
}

fn cache_control(text: &mut Vec<u8>, seconds: u64) -> Range<usize> {
    let from = text.len();
    text.extend_from_slice(b"private, max-age=");
    write_number(text, seconds);
    from..text.len()
}

/// For how many seconds the answer stays true: never beyond the presented secret's life, nor beyond what the operator
/// allows.
fn proxy_may_keep(app: &App, checked: &Checked, now: Timestamp) -> u64 {
    let left = checked.expires_at().millis_since(now).max(0) / 1000;
    u64::try_from(left).unwrap_or(0).min(app.config.check.proxy_max_age.as_secs())
}

/// [`ActiveToken`] as it is written: the same members in the same order, put together by hand.
fn write_body(text: &mut Vec<u8>, app: &App, held: &Held, now: Timestamp) {
    let expires_at = held.expires_at();
    let mut json = ObjectWriter::begin(text);
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

impl Answer {
    async fn to(app: &App, request: &Request) -> Self {
        Self(of_framework(answer(app, request.headers(), request.uri().query()).await))
    }
}

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
        _token: Documented<Bearer>,
        request: &Request,
        app: Data<&Arc<App>>,
        /// A scope that the token must hold; may be repeated, and all are needed.
        #[oai(name = "scope")]
        _scope: Query<Vec<String>>,
    ) -> Answer {
        Answer::to(&app, request).await
    }

    /// Check the presented token, without a body in the answer
    ///
    /// The headers are those of `checkToken`.
    #[oai(path = "/", method = "head", operation_id = "checkTokenHead")]
    async fn head(
        &self,
        _token: Documented<Bearer>,
        request: &Request,
        app: Data<&Arc<App>>,
        /// A scope that the token must hold; may be repeated, and all are needed.
        #[oai(name = "scope")]
        _scope: Query<Vec<String>>,
    ) -> Answer {
        Answer::to(&app, request).await
    }

    /// Check the presented token, asked with POST
    ///
    /// For proxies that ask with the method of the request they were given. A body is not read.
    #[oai(path = "/", method = "post", operation_id = "checkTokenPost")]
    async fn post(
        &self,
        _token: Documented<Bearer>,
        request: &Request,
        app: Data<&Arc<App>>,
        /// A scope that the token must hold; may be repeated, and all are needed.
        #[oai(name = "scope")]
        _scope: Query<Vec<String>>,
    ) -> Answer {
        Answer::to(&app, request).await
    }
}
