//! Errors as callers see them: problem details (RFC 9457), everywhere under `/v1` and for whatever the framework refuses.

use std::{fmt, sync::LazyLock, time::Duration};

use bytes::Bytes;
use poem::{
    IntoResponse, Response,
    error::{MethodNotAllowedError, NotFoundError, ResponseError},
    http::{self, HeaderName, HeaderValue, StatusCode, header},
};
use poem_openapi::{
    ApiResponse, Object,
    error::ParseParamError,
    registry::{MetaHeader, MetaMediaType, MetaResponse, MetaResponses, Registry},
    types::{ToJSON, Type},
};

use super::{front::of_framework, rate_limit};
use crate::{
    error::{Error, Refusal},
    token::check::Failure,
};

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What went wrong (RFC 9457).
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct Problem {
    /// Names the kind of problem; `about:blank` where the status says it all.
    #[oai(rename = "type")]
    pub kind: String,
    /// The kind of problem in words, always the same for one `type` and status.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong with this request.
    pub detail: Option<String>,
    /// What is wrong with which field of the input.
    pub errors: Option<Vec<FieldError>>,
}

/// One thing wrong with the input.
#[derive(Clone, Debug, Object)]
pub struct FieldError {
    /// The field, as a path into the body (`scopes[2]`), or the parameter's name.
    pub field: String,
    /// What would be right.
    pub message: String,
}

impl poem_openapi::types::Example for Problem {
    fn example() -> Self {
        Self {
            kind: "about:blank".to_owned(),
            title: "Unprocessable Entity".to_owned(),
            status: 422,
            detail: Some("ttl: must be 1 to 31536000 seconds".to_owned()),
            errors: Some(vec![FieldError {
                field: "ttl".to_owned(),
                message: "must be 1 to 31536000 seconds".to_owned(),
            }]),
        }
    }
}

/// An error on its way out: a problem, and the headers that its status asks for.
#[derive(Debug)]
pub struct ApiError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    problem: Problem,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl ApiError {
    /// The answer that tells it.
    pub fn to_http(&self) -> http::Response<Bytes> {
        let mut response = http::Response::new(Bytes::from(self.0.problem.to_json_string()));
        *response.status_mut() = self.status();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        response.headers_mut().extend(self.0.headers.iter().cloned());
        response
    }

    /// A problem that its status describes, with what is wrong in particular.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let problem = Problem {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: Some(detail.into()),
            errors: None,
        };
        Self(Box::new(Inner { problem, headers: Vec::new() }))
    }

    /// Bad input in one field.
    pub fn field(status: StatusCode, field: impl Into<String>, message: impl Into<String>) -> Self {
        let (field, message) = (field.into(), message.into());
        let mut error = Self::new(status, format!("{field}: {message}"));
        error.0.problem.errors = Some(vec![FieldError { field, message }]);
        error
    }

    /// No credentials, so a bare challenge (RFC 6750 §3: no error code then).
    pub fn no_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "This needs a token: Authorization: Bearer <token>")
            .header(header::WWW_AUTHENTICATE, "Bearer realm=\"daypass\"")
    }

    /// A user name and a password that do not go together.
    ///
    /// Only who came with HTTP Basic is challenged with it: a browser that sees `Basic` asks for a password in a window
    /// of its own, over the page whose sign-in form just failed.
    pub fn bad_credentials(challenge: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, sentence(&Error::BadCredentials))
            .header(header::WWW_AUTHENTICATE, challenge)
    }

    /// More than one credential, or one that is not readable (RFC 6750 §3.1).
    pub fn bad_credentials_format(detail: &str) -> Self {
        let challenge = format!("Bearer realm=\"daypass\", error=\"invalid_request\", error_description=\"{detail}\"");
        Self::new(StatusCode::BAD_REQUEST, detail).header(header::WWW_AUTHENTICATE, &challenge)
    }

    /// A token that does not work (RFC 6750 §3.1).
    pub fn invalid_token(refusal: Refusal) -> Self {
        let (kind, title) = match refusal {
            Refusal::Unknown => ("token-unknown", "Token unknown"),
            Refusal::Expired => ("token-expired", "Token expired"),
            Refusal::Revoked => ("token-revoked", "Token revoked"),
            Refusal::Refresh => ("token-not-accepted", "Token not accepted here"),
        };
        Self::token(kind, title, &refusal)
    }

    /// A token that does not work, where it is not told why: introspection (RFC 7662 §2.2) never does.
    pub fn inactive_token() -> Self {
        Self::token("token-inactive", "Token not active", &"the token is unknown, expired or revoked")
    }

    fn token(kind: &str, title: &str, why: &impl fmt::Display) -> Self {
        let challenge = format!("Bearer realm=\"daypass\", error=\"invalid_token\", error_description=\"{why}\"");
        let mut error = Self::new(StatusCode::UNAUTHORIZED, sentence(why)).header(header::WWW_AUTHENTICATE, &challenge);
        title.clone_into(&mut error.0.problem.title);
        error.0.problem.kind = format!("urn:problem-type:daypass:{kind}");
        error
    }

    /// A token without the scopes that are needed (RFC 6750 §3.1).
    pub fn insufficient_scope(needed: &str) -> Self {
        let quotable = needed.bytes().all(|byte| (0x20..0x7F).contains(&byte) && byte != b'"' && byte != b'\\');
        let scope = if quotable { format!(", scope=\"{needed}\"") } else { String::new() };
        let challenge = format!("Bearer realm=\"daypass\", error=\"insufficient_scope\"{scope}");
        Self::new(StatusCode::FORBIDDEN, format!("The token lacks a scope: {needed}"))
            .header(header::WWW_AUTHENTICATE, &challenge)
    }

    /// Adds a header; a value that cannot be one is left out.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.headers.push((name, value));
        }
        self
    }

    /// Says when to come back, in whole seconds and at least one.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        self.header(header::RETRY_AFTER, &rate_limit::seconds(wait).to_string())
    }
}

fn sentence(error: &impl fmt::Display) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).chain(['.']).collect())
}

impl From<Error> for ApiError {
    /// Every 5xx says the same to everybody; what caused it goes to the log, once, here.
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound(_) => Self::new(StatusCode::NOT_FOUND, sentence(&error)),
            Error::Conflict(_) | Error::TokenLimit { .. } => Self::new(StatusCode::CONFLICT, sentence(&error)),
            Error::Invalid { field, message } => Self::field(StatusCode::UNPROCESSABLE_ENTITY, field, message),
            Error::Forbidden(_) => Self::new(StatusCode::FORBIDDEN, sentence(&error)),
            Error::InsufficientScope { needed } => Self::insufficient_scope(&needed),
            Error::Refused(refusal) => Self::invalid_token(refusal),
            Error::BadCredentials => Self::bad_credentials("Bearer realm=\"daypass\""),
            Error::BadClient => Self::new(StatusCode::UNAUTHORIZED, sentence(&error))
                .header(header::WWW_AUTHENTICATE, "Basic realm=\"daypass\""),
            Error::Throttled { retry_after, policy } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "Too many attempts; see Retry-After.")
                    .retry_after(retry_after)
                    .header(rate_limit::POLICY, &rate_limit::policy(policy))
                    .header(rate_limit::STATE, &rate_limit::state(policy, retry_after))
            }
            Error::Busy => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "Too many passwords are being checked; see Retry-After.")
                    .retry_after(Duration::from_secs(1))
            }
            Error::Storage(cause) => {
                tracing::error!(%cause, "the database failed a request");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "The database is out of reach; see Retry-After.")
                    .retry_after(Duration::from_secs(1))
            }
            Error::Internal(cause) => {
                tracing::error!(%cause, "a request failed");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong; the log knows more.")
            }
        }
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => Self::invalid_token(refusal),
            Failure::Unanswered(error) => error.into(),
        }
    }
}

impl From<sea_orm::DbErr> for ApiError {
    fn from(error: sea_orm::DbErr) -> Self {
        Error::from(error).into()
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.problem.title)
    }
}

impl std::error::Error for ApiError {}

impl ResponseError for ApiError {
    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn as_response(&self) -> Response {
        of_framework(self.to_http())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.as_response()
    }
}

/// The answer to a token that does not work, or to none: written once, for whoever asks with a dead token asks often.
pub fn refused(refusal: Option<Refusal>) -> http::Response<Bytes> {
    type Written = http::Response<Bytes>;

    fn write(refusal: Option<Refusal>) -> Written {
        refusal.map_or_else(ApiError::no_token, ApiError::invalid_token).to_http()
    }

    static NONE: LazyLock<Written> = LazyLock::new(|| write(None));
    static UNKNOWN: LazyLock<Written> = LazyLock::new(|| write(Some(Refusal::Unknown)));
    static EXPIRED: LazyLock<Written> = LazyLock::new(|| write(Some(Refusal::Expired)));
    static REVOKED: LazyLock<Written> = LazyLock::new(|| write(Some(Refusal::Revoked)));
    static REFRESH: LazyLock<Written> = LazyLock::new(|| write(Some(Refusal::Refresh)));
    let written = match refusal {
        None => &NONE,
        Some(Refusal::Unknown) => &UNKNOWN,
        Some(Refusal::Expired) => &EXPIRED,
        Some(Refusal::Revoked) => &REVOKED,
        Some(Refusal::Refresh) => &REFRESH,
    };
    LazyLock::force(written).clone()
}

/// `minimum(1, exclusive: false)` is `at least 1`.
fn in_words(rule: &str) -> String {
    let bound = |name: &str| rule.strip_prefix(name).and_then(|rest| rest.split(',').next());
    match (bound("minimum("), bound("maximum(")) {
        (Some(least), _) => format!("at least {least}"),
        (None, Some(most)) => format!("at most {most}"),
        (None, None) => rule.to_owned(),
    }
}

/// What each status means, for the document. Which of them an operation can answer is decided in `openapi.rs`.
pub const STATUSES: &[(u16, &str, &[&str])] = &[
    (400, "The request cannot be read.", &[]),
    (401, "There is no token that works, or the credentials are wrong.", &["WWW-Authenticate"]),
    (403, "The caller may not do this.", &["WWW-Authenticate"]),
    (404, "There is no such thing, or it is none of the caller's business.", &[]),
    (408, "The body did not arrive in time.", &[]),
    (409, "It cannot be done to the thing as it is now.", &[]),
    (413, "The body is too long.", &[]),
    (415, "The body has a media type that is not read here.", &[]),
    (422, "A value is out of range, or a field is unknown.", &[]),
    (429, "Too many attempts.", &["Retry-After", "RateLimit-Policy", "RateLimit"]),
    (500, "A defect; the log knows more.", &[]),
    (503, "The service cannot answer truly right now.", &["Retry-After"]),
];

impl ApiResponse for ApiError {
    fn meta() -> MetaResponses {
        let header = |name: &&str| MetaHeader {
            name: (*name).to_owned(),
            description: None,
            required: false,
            deprecated: false,
            schema: <String as Type>::schema_ref(),
        };
        let response = |(status, description, headers): &(u16, &'static str, &[&str])| MetaResponse {
            description,
            status: Some(*status),
            status_range: None,
            content: vec![MetaMediaType { content_type: MEDIA_TYPE, schema: Problem::schema_ref() }],
            headers: headers.iter().map(header).collect(),
        };
        MetaResponses { responses: STATUSES.iter().map(response).collect() }
    }

    fn register(registry: &mut Registry) {
        Problem::register(registry);
    }
}

/// Turns what the framework itself refuses into a problem; what is one already, or a finished response, stays.
pub fn from_framework(error: poem::Error, allow: impl FnOnce() -> String) -> Response {
    if error.is_from_response() || error.is::<ApiError>() {
        return error.into_response();
    }
    if error.is::<NotFoundError>() {
        return ApiError::new(StatusCode::NOT_FOUND, "There is nothing at this path.").into_response();
    }
    if error.is::<MethodNotAllowedError>() {
        let allow = allow();
        let detail = format!("This path answers {allow}.");
        return ApiError::new(StatusCode::METHOD_NOT_ALLOWED, detail).header(header::ALLOW, &allow).into_response();
    }
    if let Some(error) = error.downcast_ref::<ParseParamError>() {
        return bad_parameter(error).into_response();
    }
    let status = error.status();
    if status.is_server_error() {
        return ApiError::from(Error::Internal(error.to_string())).into_response();
    }
    ApiError::new(status, "The request cannot be read.").into_response()
}

/// The framework's reason repeats what was sent; ours says what would be right. A number that is too large or too small
/// for its type is out of range like any other.
fn bad_parameter(error: &ParseParamError) -> ApiError {
    let beyond = ["number too large to fit", "number too small to fit"].iter().any(|text| error.reason.contains(text));
    let out_of_range = |message| ApiError::field(StatusCode::UNPROCESSABLE_ENTITY, error.name, message);
    match error.reason.split_once("verification failed. ") {
        Some((_, rule)) => out_of_range(format!("must be {}", in_words(rule))),
        None if beyond => out_of_range("must be within the documented bounds".to_owned()),
        None => ApiError::field(StatusCode::BAD_REQUEST, error.name, "is not of the documented type"),
    }
}
