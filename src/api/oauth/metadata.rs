//! What an OAuth client needs to know of this server (RFC 8414).

use poem::http::StatusCode;
use poem_openapi::{ApiResponse, Object, payload::Json, types::Example};

use crate::{api::problem::ApiError, app::App};

/// What this server offers, and where (RFC 8414 §2).
#[derive(Object)]
#[oai(example)]
pub struct AuthorizationServerMetadata {
    /// The issuer, as it is configured.
    pub issuer: String,
    /// Where tokens are had.
    pub token_endpoint: String,
    /// How a client may authenticate there: `none` where a refresh token is bound to no client.
    pub token_endpoint_auth_methods_supported: Vec<String>,
    /// What may be traded for a token.
    pub grant_types_supported: Vec<String>,
    /// RFC 8414 demands this list, and no empty one; there is no authorization endpoint, so it says `none`.
    pub response_types_supported: Vec<String>,
    /// Where tokens are ended.
    pub revocation_endpoint: String,
    /// How a client may authenticate there: `none` where a token is bound to no client.
    pub revocation_endpoint_auth_methods_supported: Vec<String>,
    /// Where tokens are looked at.
    pub introspection_endpoint: String,
    /// How the caller may authenticate there.
    pub introspection_endpoint_auth_methods_supported: Vec<String>,
    /// Where all this is described.
    pub service_documentation: String,
}

impl Example for AuthorizationServerMetadata {
    fn example() -> Self {
        Self::of("https://id.example.org", false)
    }
}

impl AuthorizationServerMetadata {
    fn of(issuer: &str, password_grant: bool) -> Self {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut grants = list(&["client_credentials", "refresh_token"]);
        if password_grant {
            grants.push("password".to_owned());
        }
        Self {
            issuer: issuer.to_owned(),
            token_endpoint: format!("{issuer}/oauth/token"),
            token_endpoint_auth_methods_supported: list(&["client_secret_basic", "client_secret_post", "none"]),
            grant_types_supported: grants,
            response_types_supported: list(&["none"]),
            revocation_endpoint: format!("{issuer}/oauth/revoke"),
            revocation_endpoint_auth_methods_supported: list(&["client_secret_basic", "client_secret_post", "none"]),
            introspection_endpoint: format!("{issuer}/oauth/introspect"),
            introspection_endpoint_auth_methods_supported: list(&[
                "client_secret_basic",
                "client_secret_post",
                "Bearer",
            ]),
            service_documentation: format!("{issuer}/docs"),
        }
    }
}

/// The metadata.
#[derive(ApiResponse)]
pub enum Described {
    /// The metadata.
    #[oai(status = 200)]
    Metadata(
        Json<AuthorizationServerMetadata>,
        /// How long it may be kept.
        #[oai(header = "Cache-Control")]
        String,
    ),
}

/// The metadata of a server that knows its own address.
pub fn metadata(app: &App) -> Result<Described, ApiError> {
    let issuer = issuer(app)
        .ok_or_else(|| ApiError::new(StatusCode::NOT_FOUND, "There is no issuer here: public_url is not set."))?;
    let metadata = AuthorizationServerMetadata::of(&issuer, app.config.oauth.password_grant);
    Ok(Described::Metadata(Json(metadata), "public, max-age=300".to_owned()))
}

/// What this server calls itself: what is configured, or on loopback the address that it listens on. Never what a request says.
pub fn issuer(app: &App) -> Option<String> {
    let (url, listen) = (&app.config.public_url, app.config.listen);
    if !url.is_empty() {
        return Some(url.clone());
    }
    listen.ip().is_loopback().then(|| format!("http://{listen}"))
}
