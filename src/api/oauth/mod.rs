//! The OAuth 2.0 doors, a file each: [`token`] (RFC 6749), [`introspect`] (RFC 7662), [`revoke`] (RFC 7009) and [`metadata`]
//! (RFC 8414). [`client_auth`] says which client is calling, [`form`] how a body is read, [`error`] what is answered when
//! something is wrong: in the words of OAuth, whatever it is.

pub mod client_auth;
pub mod error;
pub mod form;
pub mod introspect;
pub mod metadata;
pub mod revoke;
pub mod token;

use std::sync::Arc;

use poem::{
    Request, Response,
    http::{HeaderValue, header},
    web::Data,
};
use poem_openapi::{OpenApi, payload::Json};

use self::{
    error::Refused,
    form::Form,
    introspect::{IntrospectionRequest, IntrospectionResponse},
    metadata::Described,
    revoke::{Ended, RevocationRequest},
    token::{TokenRequest, TokenResponse},
};
use super::{auth, problem::ApiError, tags::Tag};
use crate::app::App;

/// The OAuth doors.
#[derive(Debug)]
pub struct OAuthApi;

#[OpenApi(tag = "Tag::OAuth")]
impl OAuthApi {
    /// Trade something for a token
    ///
    /// Grants `client_credentials`, `refresh_token` and, where the operator switched it on, `password`. A refresh token is good
    /// for one trade; one that comes again ends all that came of the same login, but for a retry within the grace. It is
    /// traded by the client it was issued to, and without a client if it came from `login`.
    #[oai(path = "/oauth/token", method = "post", operation_id = "requestToken")]
    async fn token(
        &self,
        _client: client_auth::Documented,
        request: &Request,
        app: Data<&Arc<App>>,
        form: Form<TokenRequest>,
    ) -> Result<Json<TokenResponse>, Refused> {
        token::grant(app.0, request, &form).await.map(Json)
    }

    /// Look at a token
    ///
    /// For services that were shown a token. The caller is a client that may have the scope `daypass:introspect`, or presents a
    /// token with it. A token that does not work, whyever that is, is `{"active": false}`.
    #[oai(path = "/oauth/introspect", method = "post", operation_id = "introspectToken")]
    async fn introspect(
        &self,
        _client: client_auth::Documented,
        _token: auth::Documented<auth::Caller>,
        request: &Request,
        app: Data<&Arc<App>>,
        form: Form<IntrospectionRequest>,
    ) -> Result<Json<IntrospectionResponse>, Refused> {
        introspect::introspect(app.0, request, &form).await.map(Json)
    }

    /// End a token
    ///
    /// A refresh token ends with all that came of the same login; an access token ends alone. What was issued to a client is
    /// that client's to end, anything else is whoever's that holds it. A token that is not there is no error.
    #[oai(path = "/oauth/revoke", method = "post", operation_id = "revokeOAuthToken")]
    async fn revoke(
        &self,
        _client: client_auth::Documented,
        request: &Request,
        app: Data<&Arc<App>>,
        form: Form<RevocationRequest>,
    ) -> Result<Ended, Refused> {
        revoke::revoke(app.0, request, &form).await
    }

    /// What is offered, and where
    ///
    /// The issuer is the setting `public_url`; without it there is none but on loopback.
    #[oai(
        path = "/.well-known/oauth-authorization-server",
        method = "get",
        operation_id = "getAuthorizationServerMetadata"
    )]
    async fn metadata(&self, app: Data<&Arc<App>>) -> Result<Described, ApiError> {
        metadata::metadata(&app)
    }
}

/// Whether a path is one of those that answer in the words of OAuth.
pub fn is_door(path: &str) -> bool {
    path.starts_with("/oauth/")
}

/// Sees to what holds for every answer of these doors, also where none was reached.
pub fn finish(response: Response) -> Response {
    let mut response = error::translate(response);
    response.headers_mut().insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}
