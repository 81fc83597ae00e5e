//! Errors of the OAuth doors (RFC 6749 §5.2): their own words, not problem details.

use std::time::Duration;

use poem::{
    IntoResponse, Response,
    http::{HeaderName, HeaderValue, StatusCode, header},
};
use poem_openapi::{
    ApiResponse, Object,
    payload::Json,
    registry::{MetaHeader, MetaMediaType, MetaResponse, MetaResponses, Registry},
    types::{Example, Type},
};

use crate::{
    api::{form::BadForm, problem, rate_limit},
    error::{Error, Refusal},
};

/// What went wrong, in the words of OAuth (RFC 6749 §5.2).
#[derive(Clone, Debug, Object)]
#[oai(example)]
pub struct OAuthError {
    /// A code from RFC 6749 §5.2, or from an extension of it.
    pub error: String,
    /// The same for people who develop clients.
    pub error_description: String,
}

impl Example for OAuthError {
    fn example() -> Self {
        of_status(StatusCode::BAD_REQUEST)
    }
}

/// The challenge to a client (RFC 7617 §2.1).
pub const BASIC: &str = "Basic realm=\"daypass\"";
/// The challenge to whoever might present a token (RFC 6750 §3).
pub const BEARER: &str = "Bearer realm=\"daypass\"";

/// An error on its way out, with the headers that go with it.
///
/// Its texts are constants: RFC 6749 §5.2 allows neither quotation marks nor backslashes in them, and what was sent is never
/// repeated.
#[derive(Debug)]
pub struct Refused {
    status: StatusCode,
    error: &'static str,
    description: &'static str,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refused {
    const fn new(status: StatusCode, error: &'static str, description: &'static str) -> Self {
        Self { status, error, description, headers: Vec::new() }
    }

    /// 400: the request is malformed.
    pub const fn invalid_request(description: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", description)
    }

    /// 401: there is no client, or its credentials are wrong.
    pub fn invalid_client() -> Self {
        let description = "client authentication is missing or failed";
        Self::new(StatusCode::UNAUTHORIZED, "invalid_client", description).challenge(BASIC)
    }

    /// 400: what was to be traded for a token is no good, for whatever reason.
    pub const fn invalid_grant() -> Self {
        let description = "the grant is wrong, has expired, was used or revoked, or was issued to another client";
        Self::new(StatusCode::BAD_REQUEST, "invalid_grant", description)
    }

    /// 400: this client may not use this grant.
    pub const fn unauthorized_client(description: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "unauthorized_client", description)
    }

    /// 400: there is no such grant.
    pub const fn unsupported_grant_type() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "unsupported_grant_type", "this grant_type is not offered here")
    }

    /// 400: a scope is malformed, or more than may be granted.
    pub const fn invalid_scope() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_scope", "a scope is malformed, or is not to be had with this grant")
    }

    /// 403: the client is known, and may not do this.
    pub const fn forbidden_to_client(description: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "unauthorized_client", description)
    }

    /// 401: the caller's own token does not work (RFC 6750 §3.1).
    pub fn invalid_token(refusal: Refusal) -> Self {
        let description = match refusal {
            Refusal::Unknown => "the token is malformed or unknown",
            Refusal::Expired => "the token has expired",
            Refusal::Revoked => "the token has been revoked",
            Refusal::Refresh => "a refresh token is not accepted here",
        };
        let challenge = format!("{BEARER}, error=\"invalid_token\", error_description=\"{description}\"");
        Self::new(StatusCode::UNAUTHORIZED, "invalid_token", description).challenge(&challenge)
    }

    /// 403: the caller's own token lacks this scope (RFC 6750 §3.1).
    pub fn insufficient_scope(needed: &str) -> Self {
        let challenge = format!("{BEARER}, error=\"insufficient_scope\", scope=\"{needed}\"");
        Self::new(StatusCode::FORBIDDEN, "insufficient_scope", "the token lacks a scope").challenge(&challenge)
    }

    /// Adds a challenge, as a header line of its own: not everybody splits one line at the right commas.
    #[must_use]
    pub fn challenge(self, challenge: &str) -> Self {
        self.header(header::WWW_AUTHENTICATE, challenge)
    }

    /// The challenges in place of those that it has.
    #[must_use]
    pub fn challenges<const N: usize>(mut self, challenges: [&str; N]) -> Self {
        self.headers.retain(|(name, _)| name != header::WWW_AUTHENTICATE);
        challenges.into_iter().fold(self, Self::challenge)
    }

    fn unavailable() -> Self {
        let description = "the service cannot answer truly right now";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", description)
            .retry_after(Duration::from_secs(1))
    }

    fn retry_after(self, wait: Duration) -> Self {
        self.header(header::RETRY_AFTER, &rate_limit::seconds(wait).to_string())
    }

    fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }
}

impl From<BadForm> for Refused {
    fn from(bad: BadForm) -> Self {
        Self::invalid_request(match bad {
            BadForm::PercentEncoding => "the form has a % that is not followed by two hexadecimal digits",
            BadForm::Utf8 => "the form is not UTF-8",
            BadForm::Repeated(_) => "a parameter is there twice",
            BadForm::TooMany => "the form has too many parameters",
        })
    }
}

impl From<Error> for Refused {
    /// Every 5xx says the same to everybody; what caused it goes to the log, once, here.
    fn from(error: Error) -> Self {
        match error {
            Error::BadCredentials | Error::Refused(_) | Error::NotFound(_) | Error::Conflict(_) => {
                Self::invalid_grant()
            }
            Error::BadClient => Self::invalid_client(),
            Error::TokenLimit { .. } => {
                let description = "the user has as many tokens as are allowed";
                Self::new(StatusCode::BAD_REQUEST, "access_denied", description)
            }
            Error::Invalid { .. } => Self::invalid_request("a value is out of range"),
            Error::Forbidden(_) => Self::unauthorized_client("the token was issued to another client"),
            Error::InsufficientScope { .. } => Self::invalid_scope(),
            Error::Throttled { retry_after, policy } => {
                let description = "there were too many attempts";
                Self::new(StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable", description)
                    .retry_after(retry_after)
                    .header(rate_limit::POLICY, &rate_limit::policy(policy))
                    .header(rate_limit::STATE, &rate_limit::state(policy, retry_after))
            }
            Error::Busy => Self::unavailable(),
            Error::Storage(cause) => {
                tracing::error!(%cause, "the database failed a request");
                Self::unavailable()
            }
            Error::Internal(cause) => {
                tracing::error!(%cause, "a request failed");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", BROKEN)
            }
        }
    }
}

const BROKEN: &str = "something went wrong, the log knows more";

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let error = OAuthError { error: self.error.to_owned(), error_description: self.description.to_owned() };
        let mut response = Json(error).into_response();
        response.set_status(self.status);
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        response
    }
}

impl From<Refused> for poem::Error {
    fn from(refused: Refused) -> Self {
        Self::from_response(refused.into_response())
    }
}

/// What the document says of each status, and the header that comes with it.
const STATUSES: &[(u16, &str, &[&str])] = &[
    (400, "The request is malformed, or what it asks for is not to be had.", &[]),
    (401, "The caller's credentials are missing or wrong.", &["WWW-Authenticate"]),
    (403, "The caller may not do this.", &[]),
    (408, "The body did not arrive in time.", &[]),
    (413, "The body is too long.", &[]),
    (429, "Too many attempts.", &["Retry-After", "RateLimit-Policy", "RateLimit"]),
    (500, "A defect; the log knows more.", &[]),
    (503, "The service cannot answer truly right now.", &["Retry-After"]),
];

impl ApiResponse for Refused {
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
            content: vec![MetaMediaType { content_type: "application/json", schema: OAuthError::schema_ref() }],
            headers: headers.iter().map(header).collect(),
        };
        MetaResponses { responses: STATUSES.iter().map(response).collect() }
    }

    fn register(registry: &mut Registry) {
        OAuthError::register(registry);
    }
}

/// What an error of this status says where nothing more particular is known.
pub fn of_status(status: StatusCode) -> OAuthError {
    let (error, description) = match status.as_u16() {
        401 => ("invalid_client", "client authentication is missing or failed"),
        403 => ("unauthorized_client", "the caller may not do this"),
        404 => ("invalid_request", "there is nothing at this path"),
        405 => ("invalid_request", "this method is not answered here"),
        408 => ("invalid_request", "the body did not arrive in time"),
        413 => ("invalid_request", "the body is too long"),
        429 => ("temporarily_unavailable", "there were too many attempts"),
        503 => ("temporarily_unavailable", "the service cannot answer truly right now"),
        status if status >= 500 => ("server_error", BROKEN),
        _ => ("invalid_request", "the request cannot be read"),
    };
    OAuthError { error: error.to_owned(), error_description: description.to_owned() }
}

/// What was refused before a door was reached, such as a method or too long a body, in the words of OAuth; all else stays.
pub fn translate(response: Response) -> Response {
    let is_problem = response.headers().get(header::CONTENT_TYPE).is_some_and(|value| value == problem::MEDIA_TYPE);
    if !is_problem {
        return response;
    }
    let body = Json(of_status(response.status())).into_response();
    let (mut head, _) = response.into_parts();
    if let Some(media_type) = body.headers().get(header::CONTENT_TYPE) {
        head.headers.insert(header::CONTENT_TYPE, media_type.clone());
    }
    Response::from_parts(head, body.into_body())
}
