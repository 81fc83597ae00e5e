//! Does this token work now, and for whom: the operation that stands in front of other services.
//!
//! It looks only at the credential, answers 200, 401, 403 and 503 and nothing else (proxies turn anything else into a
//! 500), and puts every identity header on every 200: one that were missing could let a client's own through.

use std::sync::Arc;

use entity::{Scopes, Timestamp};
use poem::web::Data;
use poem_openapi::{ApiResponse, Object, OpenApi, param::Query, payload::Json, types::Example};

use crate::{
    api::{
        auth::{Bearer, NotHeld},
        json::TokenInfo,
        problem::ApiError,
        tags::Tag,
    },
    app::App,
    token::{Held, check::Refusal, precision},
};

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

/// The token works.
#[derive(ApiResponse)]
pub enum Checked {
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

#[OpenApi(prefix_path = "/v1/check", tag = "Tag::Check")]
impl CheckApi {
    /// Check the presented token
    ///
    /// Made for nginx `auth_request`, Traefik `ForwardAuth`, Caddy `forward_auth` and Envoy `ext_authz`, and for services
    /// that ask themselves.
    #[oai(path = "/", method = "get", operation_id = "checkToken")]
    async fn get(
        &self,
        bearer: Bearer,
        app: Data<&Arc<App>>,
        /// A scope that the token must hold; may be repeated, and all are needed.
        scope: Query<Vec<String>>,
    ) -> Result<Checked, ApiError> {
        check(&app, bearer, &scope)
    }

    /// Check the presented token, without a body in the answer
    ///
    /// The headers are those of `checkToken`.
    #[oai(path = "/", method = "head", operation_id = "checkTokenHead")]
    async fn head(
        &self,
        bearer: Bearer,
        app: Data<&Arc<App>>,
        /// A scope that the token must hold; may be repeated, and all are needed.
        scope: Query<Vec<String>>,
    ) -> Result<Checked, ApiError> {
        check(&app, bearer, &scope)
    }

    /// Check the presented token, asked with POST
    ///
    /// For proxies that ask with the method of the request they were given. A body is not read.
    #[oai(path = "/", method = "post", operation_id = "checkTokenPost")]
    async fn post(
        &self,
        bearer: Bearer,
        app: Data<&Arc<App>>,
        /// A scope that the token must hold; may be repeated, and all are needed.
        scope: Query<Vec<String>>,
    ) -> Result<Checked, ApiError> {
        check(&app, bearer, &scope)
    }
}

fn check(app: &App, bearer: Bearer, scope: &[String]) -> Result<Checked, ApiError> {
    let Bearer { result, now } = bearer;
    let held = result.map_err(|failure| match failure {
        NotHeld::Missing => ApiError::no_token(),
        NotHeld::Unreadable => ApiError::invalid_token(Refusal::Unknown),
        NotHeld::Failed(failure) => failure.into(),
    })?;
    let needed: Vec<&str> = scope.iter().flat_map(|scope| scope.split(' ')).filter(|scope| !scope.is_empty()).collect();
    let scopes = held.scopes();
    if !needed.iter().all(|scope| scopes.contains(scope)) {
        return Err(ApiError::insufficient_scope(&needed.join(" ")));
    }
    Ok(answer(app, &held, &scopes, now))
}

fn answer(app: &App, held: &Held, scopes: &Scopes, now: Timestamp) -> Checked {
    let row = &held.token;
    Checked::Active(
        Json(ActiveToken { active: true, info: TokenInfo::of(app, held, now) }),
        held.username.clone().unwrap_or_default(),
        row.user_id.map(|id| id.to_string()).unwrap_or_default(),
        row.id.to_string(),
        scopes.to_string(),
        row.expires_at.to_string(),
        format!("private, max-age={}", max_age(app, held, now)),
    )
}

/// Seconds for which the answer stays true: never beyond the token's life, nor beyond what the operator allows.
fn max_age(app: &App, held: &Held, now: Timestamp) -> u64 {
    let left = held.token.works_until(precision(app)).millis_since(now) / 1000;
    u64::try_from(left).unwrap_or(0).min(app.config.check.proxy_max_age.as_secs())
}
