//! The token endpoint (RFC 6749 §3.2).

use std::sync::Arc;

use entity::{Grant, Scopes, Timestamp, client};
use poem::Request;
use poem_openapi::{Object, types::Example};

use super::{client_auth, error::Refused, form::Form};
use crate::{
    account::{
        login::{self, Credentials, LoggedIn},
        password::Password,
    },
    api::client_address,
    app::App,
    error::Error,
    token::{
        issue::{self, Issued, Wanted},
        refresh::{self, Pair},
    },
};

/// A request for a token (RFC 6749 §4.3.2, §4.4.2 and §6).
#[derive(Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct TokenRequest {
    /// What is traded for it: `client_credentials`, `refresh_token`, or `password` where that is switched on.
    pub grant_type: String,
    /// What the token may do, separated by spaces.
    pub scope: Option<String>,
    /// For the grant `refresh_token`: the refresh token.
    pub refresh_token: Option<String>,
    /// For the grant `password`: the user name.
    pub username: Option<String>,
    /// For the grant `password`: the password.
    pub password: Option<String>,
    /// The client, where it does not authenticate with HTTP Basic.
    pub client_id: Option<String>,
    /// Its secret.
    pub client_secret: Option<String>,
}

impl Example for TokenRequest {
    fn example() -> Self {
        Self {
            grant_type: Grant::ClientCredentials.name().to_owned(),
            scope: Some("orders:read".to_owned()),
            refresh_token: None,
            username: None,
            password: None,
            client_id: None,
            client_secret: None,
        }
    }
}

/// Tokens that were just made (RFC 6749 §5.1). They are shown here once and never again.
#[derive(Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct TokenResponse {
    /// The access token: send it as `Authorization: Bearer <token>`.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// Whole seconds for which it works.
    pub expires_in: i64,
    /// What it may do, separated by spaces; left out where that is nothing.
    pub scope: Option<String>,
    /// What the next access token is had for; good for one trade.
    pub refresh_token: Option<String>,
}

impl TokenResponse {
    /// Shows what was just made, by the time at which it is shown.
    fn show(access: &Issued, refresh: Option<&Issued>, now: Timestamp) -> Self {
        let scope = access.held.scope();
        Self {
            access_token: access.secret.expose().to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: access.held.expires_at().millis_since(now).max(0) / 1000,
            scope: (!scope.is_empty()).then(|| scope.to_owned()),
            refresh_token: refresh.map(|refresh| refresh.secret.expose().to_owned()),
        }
    }
}

impl Example for TokenResponse {
    fn example() -> Self {
        Self {
            access_token: "dpc_0…".to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: 3600,
            scope: Some("orders:read".to_owned()),
            refresh_token: None,
        }
    }
}

/// Grants what is asked for, or says why not.
pub async fn grant(app: &Arc<App>, request: &Request, form: &Form<TokenRequest>) -> Result<TokenResponse, Refused> {
    let now = app.clock.now();
    let grant = grant_type(app, form.require("grant_type", "grant_type is missing")?)?;
    let client = client_auth::client(app, request.headers(), form, now).await?;
    if client.as_ref().is_some_and(|client| !client.grants.contains(grant)) {
        return Err(Refused::unauthorized_client("this client may not use this grant"));
    }
    let scopes = form.get("scope").map(scopes).transpose()?;
    match grant {
        Grant::ClientCredentials => {
            let client = client.ok_or_else(Refused::invalid_client)?;
            let issued =
                issue::client(app, &client.client_id, scopes, &client_address::origin(request, app), now).await?;
            Ok(TokenResponse::show(&issued, None, app.clock.now()))
        }
        Grant::RefreshToken => {
            let presented = form.require("refresh_token", "refresh_token is missing")?;
            let from = client_address::origin(request, app);
            let client_id = client.as_ref().map(|client| client.client_id.as_str());
            let Pair { access, refresh } = refresh::redeem(app, presented, client_id, scopes, &from, now).await?;
            Ok(TokenResponse::show(&access, Some(&refresh), app.clock.now()))
        }
        Grant::Password => by_password(app, request, form, client.ok_or_else(Refused::invalid_client)?, scopes).await,
    }
}

/// The grant of this name, if it is offered.
fn grant_type(app: &App, name: &str) -> Result<Grant, Refused> {
    let offered = |grant: &Grant| *grant != Grant::Password || app.config.oauth.password_grant;
    Grant::parse(name).filter(offered).ok_or_else(Refused::unsupported_grant_type)
}

/// Scopes as RFC 6749 §3.3 writes them: one space between two, and nowhere else.
pub(crate) fn scopes(text: &str) -> Result<Scopes, Refused> {
    Scopes::collect(text.split(' ')).map_err(|_| Refused::invalid_scope())
}

/// A login like any other, with the same limits, for a client.
async fn by_password(
    app: &Arc<App>,
    request: &Request,
    form: &Form<TokenRequest>,
    client: client::Model,
    scopes: Option<Scopes>,
) -> Result<TokenResponse, Refused> {
    let username = form.require("username", "username is missing")?.to_owned();
    let password = Password::new(form.require("password", "password is missing")?.to_owned());
    // What is longer than any password may be is nobody's, and is not hashed to find out.
    if password.is_longer_than(app.config.passwords.max_length) {
        return Err(Refused::invalid_grant());
    }
    let from = client_address::origin(request, app);
    let with_refresh = client.grants.contains(Grant::RefreshToken);
    let wanted = Wanted { scopes, client_id: Some(client.client_id), ..Wanted::default() };
    let credentials = Credentials { username, password };
    match login::login(app, &from, credentials, wanted, with_refresh, app.clock.now()).await {
        Ok(LoggedIn { access, refresh }) => Ok(TokenResponse::show(&access, refresh.as_ref(), app.clock.now())),
        Err(Error::Forbidden(_)) => Err(Refused::invalid_scope()),
        Err(error) => Err(error.into()),
    }
}
