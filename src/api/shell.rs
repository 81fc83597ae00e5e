//! What every request passes through, outermost first: an id, the log and the metrics, headers for all answers, a net
//! for panics and for what the framework refuses, and a limit on the body.

use std::{
    any::Any,
    borrow::Cow,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use poem::{
    Body, Endpoint, IntoResponse, PathPattern, Request, Response,
    error::ReadBodyError,
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
};
use tracing::Instrument;

use super::{
    client_address, openapi,
    problem::{self, ApiError},
};
use crate::{app::App, error::Error, id, telemetry};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Answers a request whatever happens inside.
pub async fn shell<E: Endpoint>(next: Arc<E>, app: Arc<App>, request: Request) -> poem::Result<Response> {
    let began = Instant::now();
    let request_id = request_id(&request, &app);
    let method = request.method().clone();
    let client = client_address::of(&request, &app.config.trusted_proxies);
    let path = request.uri().path().to_owned();
    let span = tracing::info_span!("request", request_id = request_id.to_str().unwrap_or_default());

    let mut response = answer(next, &app, request, &path).instrument(span).await;

    headers(response.headers_mut(), &path);
    let took = began.elapsed();
    let route = route(&response);
    telemetry::answered(&method, &route, response.status(), took);
    tracing::info!(
        request_id = request_id.to_str().unwrap_or_default(),
        method = method.as_str(),
        %route,
        status = response.status().as_u16(),
        duration_us = took.as_micros(),
        client = %client,
        "request"
    );
    response.headers_mut().insert(REQUEST_ID, request_id);
    Ok(response)
}

/// The pattern of the route, as the document writes it: the framework calls what stands for an id `:param0`.
fn route(response: &Response) -> Cow<'static, str> {
    match response.data::<PathPattern>().map(|pattern| &*pattern.0) {
        None | Some("") => Cow::Borrowed("(none)"),
        Some(pattern) => Cow::Owned(pattern.replace(":param0", "{id}")),
    }
}

async fn answer<E: Endpoint>(next: Arc<E>, app: &App, request: Request, path: &str) -> Response {
    let limited = match limit_body(app, request, path).await {
        Ok(request) => request,
        Err(error) => return error.into_response(),
    };
    let caught = futures_util::FutureExt::catch_unwind(AssertUnwindSafe(next.call(limited))).await;
    match caught {
        Ok(Ok(response)) => response.into_response(),
        Ok(Err(error)) => {
            let pattern = error.data::<PathPattern>().cloned();
            let mut response = problem::from_framework(error, || openapi::methods_of(path));
            if let Some(pattern) = pattern {
                response.set_data(pattern);
            }
            response
        }
        Err(panic) => ApiError::from(Error::Internal(format!("panic: {}", message(&*panic)))).into_response(),
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("of another type")
}

/// Reads the body, at most as much as is allowed and no longer than is allowed, before any handler runs.
///
/// The framework itself reads whatever comes for as long as it comes. A check has no use for a body and reads none:
/// proxies may ask it with whatever they were sent.
async fn limit_body(app: &App, mut request: Request, path: &str) -> Result<Request, ApiError> {
    if matches!(*request.method(), Method::GET | Method::HEAD) || path == "/v1/check" {
        return Ok(request);
    }
    let limits = &app.config.limits;
    let most = usize::try_from(limits.max_body).unwrap_or(usize::MAX);
    let body = request.take_body();
    let read = tokio::time::timeout(limits.request_timeout, body.into_bytes_limit(most)).await;
    match read {
        Ok(Ok(bytes)) => {
            request.set_body(Body::from_bytes(bytes));
            Ok(request)
        }
        Ok(Err(ReadBodyError::PayloadTooLarge)) => {
            let detail = format!("The body is longer than {most} bytes.");
            Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, detail).header(header::CONNECTION, "close"))
        }
        Ok(Err(_)) => Err(ApiError::new(StatusCode::BAD_REQUEST, "The body did not arrive whole.")),
        Err(_) => {
            let detail = format!("The body did not arrive within {}.", seconds(limits.request_timeout));
            Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, detail).header(header::CONNECTION, "close"))
        }
    }
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs())
}

/// The caller's own id for the request if it is one that can be logged, else a new one.
fn request_id(request: &Request, app: &App) -> HeaderValue {
    let plain = |value: &&HeaderValue| {
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        (1..=64).contains(&value.len()) && value.as_bytes().iter().all(allowed)
    };
    let own = request.headers().get(REQUEST_ID).filter(plain).cloned();
    own.unwrap_or_else(|| {
        let id = id::new(app.clock.now()).to_string();
        HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("none"))
    })
}

/// Nothing that the API answers is for a cache, unless the operation itself says so.
fn headers(headers: &mut poem::http::HeaderMap, path: &str) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if path == "/v1/check" {
        headers.insert(header::VARY, HeaderValue::from_static("Authorization"));
    }
}
