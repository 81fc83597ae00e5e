//! Token introspection (RFC 7662): does this token work, asked by a service that was shown it.

use std::sync::Arc;

use entity::{Scopes, State, Timestamp};
use poem::Request;
use poem_openapi::{Object, types::Example};

use super::{
    client_auth,
    error::{BASIC, BEARER, Refused},
    form::Form,
    metadata,
};
use crate::{
    api::{
        auth::{Credential, credential},
        json::TokenKind,
    },
    app::App,
    error::{Error, Refusal},
    token::{
        self, Held, HeldRef, Kind,
        check::{self, Checked, Failure},
        precision,
    },
};

/// A token to be looked at (RFC 7662 §2.1).
#[derive(Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct IntrospectionRequest {
    /// The token.
    pub token: String,
    /// Not looked at: a token says what it is.
    pub token_type_hint: Option<String>,
    /// The client that asks, where it does not authenticate with HTTP Basic.
    pub client_id: Option<String>,
    /// Its secret.
    pub client_secret: Option<String>,
}

impl Example for IntrospectionRequest {
    fn example() -> Self {
        Self { token: "dps_0…".to_owned(), token_type_hint: None, client_id: None, client_secret: None }
    }
}

/// What is told of a token (RFC 7662 §2.2). Of one that does not work, whyever that is, nothing but `active`.
#[derive(Default, Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct IntrospectionResponse {
    /// Whether it works.
    pub active: bool,
    /// What it may do, separated by spaces; left out where that is nothing.
    pub scope: Option<String>,
    /// The client that it was issued to.
    pub client_id: Option<String>,
    /// The user name; left out for a client's own token.
    pub username: Option<String>,
    /// `Bearer`; left out for a refresh token, which opens nothing.
    pub token_type: Option<String>,
    /// What it was issued for; not of RFC 7662.
    pub kind: Option<TokenKind>,
    /// When it stops working, in whole seconds since 1970: it does not work later.
    pub exp: Option<i64>,
    /// When it was issued.
    pub iat: Option<i64>,
    /// From when on it works: since it was issued.
    pub nbf: Option<i64>,
    /// The user id, or the client id of a client's own token; the two never look alike.
    pub sub: Option<String>,
    /// The issuer, where that is known: see the metadata.
    pub iss: Option<String>,
    /// The token id.
    pub jti: Option<String>,
}

impl Example for IntrospectionResponse {
    fn example() -> Self {
        Self {
            active: true,
            scope: Some("orders:read".to_owned()),
            client_id: None,
            username: Some("alice".to_owned()),
            token_type: Some("Bearer".to_owned()),
            kind: Some(TokenKind::Session),
            exp: Some(1_795_546_800),
            iat: Some(1_795_510_800),
            nbf: Some(1_795_510_800),
            sub: Some("019ab501-77c0-7a11-8f3b-2c4d5e6f7081".to_owned()),
            iss: Some("https://id.example.org".to_owned()),
            jti: Some("019ab509-3a80-7c3e-9d12-4f5a6b7c8d9e".to_owned()),
        }
    }
}

impl IntrospectionResponse {
    fn of(app: &App, held: &Held, expires_at: Timestamp) -> Self {
        let seconds = |instant: Timestamp| Some(instant.millis().div_euclid(1000));
        let scope = held.scope();
        let client_id = held.client_id().map(str::to_owned);
        Self {
            active: true,
            scope: (!scope.is_empty()).then(|| scope.to_owned()),
            client_id: client_id.clone(),
            username: held.user_id().map(|_| held.username().to_owned()),
            token_type: (held.kind() != Kind::Refresh).then(|| "Bearer".to_owned()),
            kind: Some(held.kind().into()),
            exp: seconds(expires_at),
            iat: seconds(held.created_at()),
            nbf: seconds(held.created_at()),
            sub: held.user_id().map(|id| id.to_string()).or(client_id),
            iss: metadata::issuer(app),
            jti: Some(held.id().to_string()),
        }
    }
}

/// Who asks, and may.
enum Caller {
    /// By its id.
    Client(String),
    Token(HeldRef),
}

/// Looks at a token for who may.
pub async fn introspect(
    app: &Arc<App>,
    request: &Request,
    form: &Form<IntrospectionRequest>,
) -> Result<IntrospectionResponse, Refused> {
    let now = app.clock.now();
    let caller = caller(app, request, form, now).await?;
    let text = form.require("token", "token is missing")?;
    match check::check(app, text, now).await {
        Ok(checked) => Ok(IntrospectionResponse::of(app, &checked.held, checked.expires_at())),
        Err(Failure::Refused(Refusal::Refresh)) => Ok(refresh(app, &caller, text, now).await?),
        Err(Failure::Refused(Refusal::Unknown | Refusal::Expired | Refusal::Revoked)) => {
            Ok(IntrospectionResponse::default())
        }
        Err(Failure::Unanswered(error)) => Err(error.into()),
    }
}

/// A client with the scope for it, or a token with it.
async fn caller(
    app: &App,
    request: &Request,
    form: &Form<IntrospectionRequest>,
    now: Timestamp,
) -> Result<Caller, Refused> {
    match credential(request.headers()) {
        Credential::Unreadable => Err(Refused::invalid_request("Authorization must be there once and hold one token")),
        Credential::Token(text) => by_token(app, text, form, now).await,
        Credential::None => match client_auth::client(app, request.headers(), form, now).await? {
            Some(client) if client.scopes.contains(Scopes::INTROSPECT) => Ok(Caller::Client(client.client_id)),
            Some(_) => Err(Refused::forbidden_to_client("this client may not introspect")),
            None => Err(Refused::invalid_client().challenges([BEARER, BASIC])),
        },
    }
}

async fn by_token(app: &App, text: &str, form: &Form<IntrospectionRequest>, now: Timestamp) -> Result<Caller, Refused> {
    if form.get("client_id").is_some() || form.get("client_secret").is_some() {
        return Err(Refused::invalid_request("authentication is there twice"));
    }
    // Whoever finds a token must not learn from it alone whose it is.
    if form.get("token") == Some(text) {
        return Err(Refused::invalid_request("a token does not introspect itself"));
    }
    match check::check(app, text, now).await {
        Ok(Checked { held, .. }) if held.holds(Scopes::INTROSPECT) => Ok(Caller::Token(held)),
        Ok(_) => Err(Refused::insufficient_scope(Scopes::INTROSPECT)),
        Err(Failure::Refused(refusal)) => Err(Refused::invalid_token(refusal)),
        Err(Failure::Unanswered(error)) => Err(error.into()),
    }
}

/// A refresh token is told of to those only who might trade it: a service that takes whatever is active for an access token
/// must not be handed one.
async fn refresh(app: &App, caller: &Caller, text: &str, now: Timestamp) -> Result<IntrospectionResponse, Error> {
    let Some(presented) = check::parse(app, text, now) else { return Ok(IntrospectionResponse::default()) };
    let held = token::find(app.db.reader(), presented.id).await?;
    let held = held.filter(|held| held.life().state(now, precision(app)) == State::Active);
    let held = held.filter(|held| check::possesses(held, &presented.digest, now) && is_theirs(caller, held));
    Ok(held
        .map_or_else(IntrospectionResponse::default, |held| IntrospectionResponse::of(app, &held, held.expires_at())))
}

fn is_theirs(caller: &Caller, refresh: &Held) -> bool {
    match caller {
        Caller::Client(client_id) => refresh.client_id() == Some(client_id),
        Caller::Token(held) => held.is_admin() || held.owner() == refresh.owner(),
    }
}
