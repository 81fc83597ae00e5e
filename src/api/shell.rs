//! What every request passes through, outermost first: an id, the log and the metrics, headers for all answers, a net
//! for panics and for what the framework refuses, and a limit on the body.

use std::{
    any::Any,
    borrow::Cow,
    net::IpAddr,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::FutureExt;
use poem::{
    Body, Endpoint, IntoResponse, PathPattern, Request, Response,
    error::ReadBodyError,
    http::{self, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
};
use tracing::Instrument;
use uuid::Uuid;

use super::{
    client_address::{self, RequestId},
    oauth, openapi,
    problem::{self, ApiError},
    v1::check::{self, is_check},
};
use crate::{app::App, error::Error, telemetry};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The pattern of what has none.
const NO_ROUTE: &str = "(none)";

/// Answers a request whatever happens inside.
pub async fn shell<E: Endpoint>(next: Arc<E>, app: Arc<App>, mut request: Request) -> poem::Result<Response> {
    let began = Instant::now();
    let request_id = request_id(request.headers());
    let method = request.method().clone();
    let client = client_address::of(&request, &app.config.trusted_proxies);
    let path = request.uri().path().to_owned();
    request.set_data(RequestId(request_id.to_str().unwrap_or_default().to_owned()));

    let response = answer(next, &app, request, &path).instrument(span(&request_id)).await;
    let mut response = if oauth::is_door(&path) { oauth::finish(response) } else { response };

    headers(response.headers_mut(), request_id.clone());
    let took = began.elapsed();
    let route = route(&response);
    telemetry::answered(&method, &route, response.status(), took);
    log(&request_id, &method, &route, response.status(), took, client);
    Ok(response)
}

/// What is looked at of a request ahead of all routing, whoever brought it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Any.
    pub method: &'a Method,
    /// Whose query may name scopes.
    pub uri: &'a Uri,
    /// Among them the credential.
    pub headers: &'a HeaderMap,
    /// Where it came from.
    pub peer: IpAddr,
}

/// Answers a check.
///
/// One that has an answer is not worth a line unless somebody asks for it: at thousands a second, from clients that are
/// stuck with a dead token too, the log would be most of the work. The metrics count them.
pub async fn checked(app: &App, asked: Asked<'_>) -> http::Response<Bytes> {
    let (began, request_id) = (Instant::now(), request_id(asked.headers));
    let mut answering = pin!(caught(check::answer(app, asked.headers, asked.uri.query())));
    // What memory answers is there at once; a span, for what might be logged on the way, is for the rest.
    let answered = match answering.as_mut().now_or_never() {
        Some(answered) => answered,
        None => answering.instrument(span(&request_id)).await,
    };
    let mut response = answered.unwrap_or_else(|error| error.to_http());
    headers(response.headers_mut(), request_id.clone());
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Authorization"));
    let (status, took) = (response.status(), began.elapsed());
    telemetry::checked(status, took);
    if status.is_server_error() || tracing::enabled!(tracing::Level::DEBUG) {
        let client = client_address::behind(asked.peer, asked.headers, &app.config.trusted_proxies);
        log(&request_id, asked.method, check::PATH, status, took, client);
    }
    response
}

/// Answers a request that is refused before it is known what it asks for.
pub fn refused(app: &App, asked: Asked<'_>, error: &ApiError) -> http::Response<Bytes> {
    let (request_id, mut response) = (request_id(asked.headers), error.to_http());
    headers(response.headers_mut(), request_id.clone());
    telemetry::answered(asked.method, NO_ROUTE, response.status(), Duration::ZERO);
    let client = client_address::behind(asked.peer, asked.headers, &app.config.trusted_proxies);
    log(&request_id, asked.method, NO_ROUTE, response.status(), Duration::ZERO, client);
    response
}

fn span(request_id: &HeaderValue) -> tracing::Span {
    tracing::info_span!("request", request_id = request_id.to_str().unwrap_or_default())
}

fn log(request_id: &HeaderValue, method: &Method, route: &str, status: StatusCode, took: Duration, client: IpAddr) {
    tracing::info!(
        request_id = request_id.to_str().unwrap_or_default(),
        method = telemetry::name_of(method),
        %route,
        status = status.as_u16(),
        duration_us = took.as_micros(),
        client = %client,
        "request"
    );
}

/// The pattern of the route, with `{id}` for what stands for one: the framework calls that `:param0`.
fn route(response: &Response) -> Cow<'static, str> {
    match response.data::<PathPattern>().map(|pattern| &*pattern.0) {
        None | Some("") => Cow::Borrowed(NO_ROUTE),
        Some(pattern) => Cow::Owned(pattern.replace(":param0", "{id}")),
    }
}

async fn answer<E: Endpoint>(next: Arc<E>, app: &App, request: Request, path: &str) -> Response {
    let limited = match limit_body(app, request, path).await {
        Ok(request) => request,
        Err(error) => return error.into_response(),
    };
    match caught(next.call(limited)).await {
        Ok(Ok(response)) => response.into_response(),
        Ok(Err(error)) => {
            let pattern = error.data::<PathPattern>().cloned();
            let mut response = problem::from_framework(error, || openapi::methods_of(path));
            if let Some(pattern) = pattern {
                response.set_data(pattern);
            }
            response
        }
        Err(error) => error.into_response(),
    }
}

/// A panic ends one request, not the connection and all that it carries.
async fn caught<T>(work: impl Future<Output = T>) -> Result<T, ApiError> {
    let result = AssertUnwindSafe(work).catch_unwind().await;
    result.map_err(|panic| Error::Internal(format!("panic: {}", message(&*panic))).into())
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("of another type")
}

/// Reads the body, at most as much as is allowed and no longer than is allowed, before any handler runs.
///
/// The framework itself reads whatever comes for as long as it comes. A check has no use for a body and reads none:
/// proxies may ask it with whatever they were sent, and sometimes under a path that had to be tidied first.
async fn limit_body(app: &App, mut request: Request, path: &str) -> Result<Request, ApiError> {
    if matches!(*request.method(), Method::GET | Method::HEAD) || is_check(path) {
        return Ok(request);
    }
    let limits = &app.config.limits;
    let most = usize::try_from(limits.max_body).unwrap_or(usize::MAX);
    let too_long = || {
        let detail = format!("The body is longer than {most} bytes.");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, detail).header(header::CONNECTION, "close")
    };
    // Who says beforehand how much it is, and perhaps waits to be told to go on, need not send it.
    if announced(request.headers()).is_some_and(|length| length > limits.max_body) {
        return Err(too_long());
    }
    if is_coded(request.headers()) {
        let detail = "Content-Encoding must be left out: a body is read as it was sent.";
        return Err(
            ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail).header(header::ACCEPT_ENCODING, "identity")
        );
    }
    let body = request.take_body();
    let read = tokio::time::timeout(limits.request_timeout, body.into_bytes_limit(most)).await;
    match read {
        Ok(Ok(bytes)) => {
            request.set_body(Body::from_bytes(bytes));
            Ok(request)
        }
        Ok(Err(ReadBodyError::PayloadTooLarge)) => Err(too_long()),
        Ok(Err(_)) => Err(ApiError::new(StatusCode::BAD_REQUEST, "The body did not arrive whole.")),
        Err(_) => {
            let detail = format!("The body did not arrive within {}.", seconds(limits.request_timeout));
            Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, detail).header(header::CONNECTION, "close"))
        }
    }
}

/// How long the body is by its own account; that it is a number was seen to before.
fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether the body is compressed (RFC 9110 §8.4): what it would grow to nobody knows.
fn is_coded(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONTENT_ENCODING).iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs())
}

/// The caller's own id for the request if it is one that can be logged, else a new one. It is shorter than a token.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let plain = |value: &&HeaderValue| {
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        (1..64).contains(&value.len()) && value.as_bytes().iter().all(allowed)
    };
    headers.get(REQUEST_ID).filter(plain).cloned().unwrap_or_else(next_id)
}

/// An id that no other request of this process has, and hardly one of another.
fn next_id() -> HeaderValue {
    static PROCESS: LazyLock<u64> = LazyLock::new(|| getrandom::u64().unwrap_or_default());
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = Uuid::from_u64_pair(*PROCESS, NEXT.fetch_add(1, Ordering::Relaxed));
    let text = id.simple().encode_lower(&mut Uuid::encode_buffer()).to_owned();
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("none"))
}

/// Nothing that the API answers is for a cache, unless the operation itself says so.
fn headers(headers: &mut HeaderMap, request_id: HeaderValue) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(REQUEST_ID, request_id);
}
