//! Logging in and out, and oneself.

use std::{num::IntErrorKind, sync::Arc};

use poem::{Request, RequestBody, http::StatusCode, web::Data};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions, Object, OpenApi,
    param::Query,
    payload::Json,
    registry::{MetaRequest, Registry},
    types::{Example, Type},
};
use serde::Deserialize;

use crate::{
    account::{
        login::{self, Credentials, LoggedIn},
        password::{Password, policy::Refusal},
        users,
    },
    api::{
        auth::{self, Caller, Credential, credential},
        basic::{BadBasic, basic},
        body::{self, Body},
        client_address, form,
        json::{IssuedToken, TokenInfo, User},
        problem::ApiError,
        tags::Tag,
    },
    app::App,
    error::Error,
    token::{
        Kind,
        issue::Wanted,
        revoke::{self, Why},
    },
};

/// The challenge to a wrong password that came by HTTP Basic (RFC 7617 §2.1).
const BASIC: &str = "Basic realm=\"daypass\", charset=\"UTF-8\"";

/// Logging in and out.
#[derive(Debug)]
pub struct SessionApi;

/// A user name and a password, and what is wanted of the token.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct LoginRequest {
    /// The user name, in any case.
    #[oai(validator(max_length = 150))]
    username: String,
    /// The password.
    #[oai(validator(max_length = 1024))]
    password: String,
    /// What to call the token.
    #[oai(validator(min_length = 1, max_length = 200))]
    name: Option<String>,
    /// Seconds it shall live; at most what the settings allow.
    #[serde(default, deserialize_with = "body::whole_number")]
    #[oai(validator(minimum(value = "1")))]
    ttl: Option<i64>,
    /// Seconds it may go unused.
    #[serde(default, deserialize_with = "body::whole_number")]
    #[oai(validator(minimum(value = "60")))]
    idle_timeout: Option<i64>,
    /// What it may do; all that the user may, if left out.
    scopes: Option<Vec<String>>,
    /// Whether a refresh token is wanted too: `/oauth/token` trades it for the next session, without logging in again.
    refresh: Option<bool>,
}

impl Example for LoginRequest {
    fn example() -> Self {
        Self {
            username: "alice".to_owned(),
            password: "a long and lovely passphrase".to_owned(),
            name: Some("laptop".to_owned()),
            ttl: Some(36_000),
            idle_timeout: None,
            scopes: None,
            refresh: None,
        }
    }
}

/// A login in any of the forms it is accepted in: JSON, a form, or HTTP Basic with or without JSON beside it.
///
/// The document knows JSON only: generated clients cannot tell two media types of one operation apart.
#[derive(Debug)]
pub struct Login {
    credentials: Credentials,
    by_basic: bool,
    wanted: Wanted,
    refresh: bool,
}

/// What may stand beside HTTP Basic.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Beside {
    name: Option<String>,
    #[serde(default, deserialize_with = "body::whole_number")]
    ttl: Option<i64>,
    #[serde(default, deserialize_with = "body::whole_number")]
    idle_timeout: Option<i64>,
    scopes: Option<Vec<String>>,
    refresh: Option<bool>,
}

impl<'a> ApiExtractor<'a> for Login {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        LoginRequest::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(body::json_meta::<LoginRequest>())
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let bytes = body::read(body).await?;
        let longest = auth::app(request)?.config.passwords.max_length;
        Ok(read_login(request, &bytes, longest)?)
    }
}

fn read_login(request: &Request, bytes: &[u8], longest: usize) -> Result<Login, ApiError> {
    if let Some(credentials) = by_basic(request)? {
        let beside = match bytes {
            [] => Beside::default(),
            _ if body::is(request, "application/json") => body::from_json(bytes)?,
            _ => return Err(body::unsupported("application/json")),
        };
        hashable("password", &credentials.password, longest)?;
        let wanted = wanted(beside.name, beside.ttl, beside.idle_timeout, beside.scopes)?;
        return Ok(Login { credentials, by_basic: true, wanted, refresh: beside.refresh.unwrap_or(false) });
    }
    let LoginRequest { username, password, name, ttl, idle_timeout, scopes, refresh } =
        if body::is(request, "application/x-www-form-urlencoded") {
            from_form(bytes)?
        } else if body::is(request, "application/json") {
            body::from_json(bytes)?
        } else {
            return Err(body::unsupported("application/json"));
        };
    let credentials = Credentials { username, password: Password::new(password) };
    hashable("password", &credentials.password, longest)?;
    let wanted = wanted(name, ttl, idle_timeout, scopes)?;
    Ok(Login { credentials, by_basic: false, wanted, refresh: refresh.unwrap_or(false) })
}

/// Refuses what is longer than any password may be, before it is hashed: it is nobody's, and hashing takes its time.
fn hashable(field: &'static str, password: &Password, longest: usize) -> Result<(), Error> {
    if password.is_longer_than(longest) {
        return Err(Error::invalid(field, Refusal::TooLong(longest).to_string()));
    }
    Ok(())
}

impl From<BadBasic> for ApiError {
    fn from(bad: BadBasic) -> Self {
        match bad {
            BadBasic::Unreadable => Self::bad_credentials_format("Authorization must be there once"),
            BadBasic::Malformed => {
                Self::new(StatusCode::BAD_REQUEST, "Authorization: Basic must hold user name and password.")
            }
        }
    }
}

/// A login by HTTP Basic, if the request has one. Whatever cannot be read is refused here; the OAuth doors leave alone what is
/// not Basic.
pub fn by_basic(request: &Request) -> Result<Option<Credentials>, BadBasic> {
    if credential(request.headers()) == Credential::Unreadable {
        return Err(BadBasic::Unreadable);
    }
    let login = basic(request.headers())?;
    Ok(login.map(|mut login| Credentials {
        username: std::mem::take(&mut *login.name),
        password: Password::new(std::mem::take(&mut *login.secret)),
    }))
}

fn from_form(bytes: &[u8]) -> Result<LoginRequest, ApiError> {
    let mut form = form::parse(bytes)
        .map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, format!("The body is bad: {error}.")))?;
    let missing = |field| ApiError::field(StatusCode::BAD_REQUEST, field, "is missing");
    let number = |field: &'static str, text: Option<String>| match text.map(|text| text.parse::<i64>()) {
        None => Ok(None),
        Some(Ok(number)) => Ok(Some(number)),
        Some(Err(error)) if *error.kind() == IntErrorKind::PosOverflow => Ok(Some(i64::MAX)),
        Some(Err(_)) => Err(ApiError::field(StatusCode::BAD_REQUEST, field, "must be a whole number of seconds")),
    };
    let truth = |field: &'static str, text: Option<String>| match text.as_deref() {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(ApiError::field(StatusCode::BAD_REQUEST, field, "must be true or false")),
    };
    let login = LoginRequest {
        username: form.remove("username").ok_or_else(|| missing("username"))?,
        password: form.remove("password").ok_or_else(|| missing("password"))?,
        name: form.remove("name"),
        ttl: number("ttl", form.remove("ttl"))?,
        idle_timeout: number("idle_timeout", form.remove("idle_timeout"))?,
        scopes: form.remove("scopes").map(|scopes| scopes.split(' ').map(str::to_owned).collect()),
        refresh: truth("refresh", form.remove("refresh"))?,
    };
    match form.into_keys().next() {
        None => Ok(login),
        Some(field) => Err(ApiError::field(StatusCode::UNPROCESSABLE_ENTITY, field, "is no field of this request")),
    }
}

/// What is asked of a token, with scopes that are scopes.
pub fn wanted(
    name: Option<String>,
    ttl: Option<i64>,
    idle_timeout: Option<i64>,
    scopes: Option<Vec<String>>,
) -> Result<Wanted, ApiError> {
    let scopes = scopes.map(body::scopes).transpose()?;
    Ok(Wanted { name, ttl, idle_timeout, scopes, ..Wanted::default() })
}

/// Nothing to tell.
#[derive(ApiResponse)]
pub enum Done {
    /// Done.
    #[oai(status = 204)]
    NoContent,
}

/// How many tokens were ended.
#[derive(Debug, Object)]
#[oai(example)]
pub struct Revoked {
    /// Tokens that worked until now.
    revoked: u64,
}

impl Example for Revoked {
    fn example() -> Self {
        Self { revoked: 2 }
    }
}

/// Who is asking, and with what.
#[derive(Debug, Object)]
#[oai(example)]
pub struct Me {
    /// The user; null for a client's own token.
    user: Option<User>,
    /// The presented token.
    token: TokenInfo,
}

impl Example for Me {
    fn example() -> Self {
        Self { user: Some(User::example()), token: TokenInfo::example() }
    }
}

/// The present password and the one to come.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct PasswordChange {
    /// The present one.
    #[oai(validator(max_length = 1024))]
    current_password: String,
    /// The one to come.
    #[oai(validator(max_length = 1024))]
    new_password: String,
}

impl Example for PasswordChange {
    fn example() -> Self {
        Self {
            current_password: "a long and lovely passphrase".to_owned(),
            new_password: "an even longer, lovelier passphrase".to_owned(),
        }
    }
}

#[OpenApi(prefix_path = "/v1", tag = "Tag::Session")]
impl SessionApi {
    /// Log in
    ///
    /// Trades a user name and a password for a `session` token. A form body with the same fields (`scopes` separated by
    /// spaces) and HTTP Basic are accepted too; beside HTTP Basic the other fields may stand as JSON, and a form is 415.
    /// An unknown name, a wrong password and a disabled user get the same answer.
    #[oai(path = "/login", method = "post", operation_id = "login")]
    async fn login(
        &self,
        request: &Request,
        app: Data<&Arc<App>>,
        login: Login,
    ) -> Result<Json<IssuedToken>, ApiError> {
        let now = app.clock.now();
        let from = client_address::origin(request, &app);
        match login::login(app.0, &from, login.credentials, login.wanted, login.refresh, now).await {
            Ok(LoggedIn { access, refresh }) => Ok(Json(IssuedToken {
                refresh_token: refresh.map(|refresh| refresh.secret.expose().to_owned()),
                ..IssuedToken::show(&app, &access, now)
            })),
            Err(Error::BadCredentials) if login.by_basic => Err(ApiError::bad_credentials(BASIC)),
            Err(error) => Err(error.into()),
        }
    }

    /// Log out
    ///
    /// Revokes the presented token, of whatever kind, and with it what came of the same login: its refresh token, and the
    /// sessions that bought.
    #[oai(path = "/logout", method = "post", operation_id = "logout")]
    async fn logout(&self, caller: Caller, app: Data<&Arc<App>>) -> Result<Done, ApiError> {
        revoke::one(app.0, caller.held.id(), &caller.actor(), Why::Logout, caller.now).await?;
        Ok(Done::NoContent)
    }

    /// Log out everywhere
    ///
    /// Revokes the caller's tokens of the named kinds, the presented one among them. Refresh tokens end with `session`, and
    /// the sessions that a refresh token bought end with `refresh`. A login that began before does not complete after.
    #[oai(path = "/logout-all", method = "post", operation_id = "logoutAll")]
    async fn logout_all(
        &self,
        caller: Caller,
        app: Data<&Arc<App>>,
        /// Kinds to revoke, separated by commas: of `session`, `api`, `client` and `refresh`. Only `session` if left out.
        kinds: Query<Option<String>>,
    ) -> Result<Json<Revoked>, ApiError> {
        let kinds = parse_kinds(kinds.0.as_deref().unwrap_or("session"))?;
        let revoked = users::end_tokens(app.0, caller.owner(), kinds, &caller.actor(), caller.now).await?;
        Ok(Json(Revoked { revoked }))
    }

    /// Who am I
    #[oai(path = "/me", method = "get", operation_id = "whoami")]
    async fn whoami(&self, caller: Caller, app: Data<&Arc<App>>) -> Result<Json<Me>, ApiError> {
        let user = match caller.held.user_id() {
            Some(id) => Some(users::find(app.db.reader(), id).await?.into()),
            None => None,
        };
        Ok(Json(Me { user, token: TokenInfo::of(&app, &caller.held, caller.now) }))
    }

    /// Change my password
    ///
    /// Revokes every other session of the user, and every refresh token. A password is good enough from 8 characters, off the list of common
    /// ones, and hard enough to guess; a refusal says why.
    #[oai(path = "/me/password", method = "put", operation_id = "changePassword")]
    async fn change_password(
        &self,
        caller: Caller,
        app: Data<&Arc<App>>,
        change: Body<PasswordChange>,
    ) -> Result<Done, ApiError> {
        let PasswordChange { current_password, new_password } = change.0;
        let (current, new) = (Password::new(current_password), Password::new(new_password));
        hashable("current_password", &current, app.config.passwords.max_length)?;
        let (user, kept) = (caller.user_id()?, caller.held.id());
        let result = users::change_own_password(app.0, user, current, new, kept, &caller.from, caller.now).await;
        match result {
            // The token is good; a 401 would make clients throw it away.
            Err(Error::BadCredentials) => Err(ApiError::field(StatusCode::FORBIDDEN, "current_password", "is wrong")),
            other => Ok(other.map(|()| Done::NoContent)?),
        }
    }
}

fn parse_kinds(names: &str) -> Result<Vec<Kind>, ApiError> {
    names.split(',').map(|name| parse_kind(name.trim())).collect()
}

fn parse_kind(name: &str) -> Result<Kind, ApiError> {
    match name {
        "session" => Ok(Kind::Session),
        "api" => Ok(Kind::Api),
        "client" => Ok(Kind::Client),
        "refresh" => Ok(Kind::Refresh),
        _ => Err(ApiError::field(StatusCode::BAD_REQUEST, "kinds", "must be of session, api, client, refresh")),
    }
}
