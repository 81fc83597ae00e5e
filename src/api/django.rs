//! Doors for clients that were written against Django REST framework's authtoken, django-rest-knox, or the hand-made
//! views that people write in their stead. Paths, texts and status codes are those clients' own.
//!
//! What differs from the originals: these tokens expire, and a token is never stored or shown twice.

use std::{sync::Arc, time::Duration};

use poem::{Request, RequestBody, http::header, web::Data};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions, Object, OpenApi,
    payload::Json,
    registry::{MetaMediaType, MetaRequest, Registry},
    types::{Example, Type},
};

use super::{
    auth::{Bearer, NotHeld},
    basic::BadBasic,
    body, client_address, form,
    json::Time,
    rate_limit,
    tags::Tag,
    v1::session::{self, Done},
};
use crate::{
    account::{
        login::{self, Credentials},
        password::Password,
        users,
    },
    app::App,
    audit::Actor,
    error::{Error, Policy},
    token::{
        HeldRef, Kind,
        check::Failure,
        issue::{Issued, Wanted},
        revoke::{self, Why},
    },
};

/// The Django doors.
#[derive(Debug)]
pub struct DjangoApi;

/// A user name and a password.
#[derive(Object)]
#[oai(example)]
pub struct DjangoCredentials {
    /// The user name.
    username: String,
    /// The password.
    password: String,
}

impl Example for DjangoCredentials {
    fn example() -> Self {
        Self { username: "alice".to_owned(), password: "a long and lovely passphrase".to_owned() }
    }
}

/// A token, and nothing else.
#[derive(Object)]
#[oai(example)]
pub struct DjangoToken {
    /// The token.
    token: String,
}

impl Example for DjangoToken {
    fn example() -> Self {
        Self { token: "dps_0…".to_owned() }
    }
}

/// A greeting for whoever has a token.
#[derive(Object)]
#[oai(example)]
pub struct DjangoMessage {
    /// The greeting.
    message: String,
}

impl Example for DjangoMessage {
    fn example() -> Self {
        Self { message: "You have access to this protected endpoint.".to_owned() }
    }
}

/// Who logged in.
#[derive(Object)]
pub struct KnoxUser {
    /// The user name.
    username: String,
}

/// What knox's login answers.
#[derive(Object)]
#[oai(example)]
pub struct KnoxToken {
    /// When the token stops working.
    expiry: Time,
    /// The token.
    token: String,
    /// Who logged in.
    user: KnoxUser,
}

impl Example for KnoxToken {
    fn example() -> Self {
        let expiry = Time(entity::Timestamp::from_millis(1_795_546_800_000));
        Self { expiry, token: "dps_0…".to_owned(), user: KnoxUser { username: "alice".to_owned() } }
    }
}

/// What went wrong, in the form the door's clients expect: each door uses one of the members.
#[derive(Default, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct DjangoError {
    /// Django REST framework's way.
    detail: Option<String>,
    /// The hand-made way.
    error: Option<String>,
    /// Bad credentials at `/api-token-auth/`.
    non_field_errors: Option<Vec<String>>,
    /// What is wrong with the field.
    username: Option<Vec<String>>,
    /// What is wrong with the field.
    password: Option<Vec<String>>,
}

/// Why a door stays shut.
#[derive(ApiResponse)]
pub enum Shut {
    /// A field is missing, or the body cannot be read.
    #[oai(status = 400)]
    BadRequest(Json<Box<DjangoError>>),
    /// No token that works, or bad credentials.
    #[oai(status = 401)]
    Unauthorized(Json<Box<DjangoError>>, #[oai(header = "WWW-Authenticate")] String),
    /// The user has as many tokens as allowed.
    #[oai(status = 403)]
    Forbidden(Json<Box<DjangoError>>),
    /// The body is neither JSON nor a form.
    #[oai(status = 415)]
    UnsupportedMediaType(Json<Box<DjangoError>>),
    /// Too many attempts.
    #[oai(status = 429)]
    Throttled(
        Json<Box<DjangoError>>,
        #[oai(header = "Retry-After")] u64,
        #[oai(header = "RateLimit-Policy")] String,
        #[oai(header = "RateLimit")] String,
    ),
    /// A defect; the log knows more.
    #[oai(status = 500)]
    Broken(Json<Box<DjangoError>>),
    /// The service cannot answer truly right now.
    #[oai(status = 503)]
    Unavailable(Json<Box<DjangoError>>, #[oai(header = "Retry-After")] u64),
}

fn detail(text: impl Into<String>) -> Json<Box<DjangoError>> {
    Json(Box::new(DjangoError { detail: Some(text.into()), ..Default::default() }))
}

fn error(text: &str) -> Json<Box<DjangoError>> {
    Json(Box::new(DjangoError { error: Some(text.to_owned()), ..Default::default() }))
}

/// User name and password from JSON or a form, as lenient as Django: other fields are ignored, a missing or blank one is
/// for the door to judge. `FORM` only says which of the two the document names.
pub struct Fields<const FORM: bool> {
    username: Option<String>,
    password: Option<String>,
}

impl<const FORM: bool> Fields<FORM> {
    /// Both, if both say something.
    fn credentials(self) -> Option<Credentials> {
        let (username, password) = self.username.zip(self.password)?;
        let blank = is_blank(&username) || password.is_empty();
        (!blank).then(|| Credentials { username, password: Password::new(password) })
    }

    /// Both, or Django REST framework's complaint about what is missing or blank.
    fn required(self) -> Result<Credentials, Shut> {
        let complaint = |field: &Option<String>, is_blank: fn(&str) -> bool| match field {
            None => Some(vec!["This field is required.".to_owned()]),
            Some(text) if is_blank(text) => Some(vec!["This field may not be blank.".to_owned()]),
            Some(_) => None,
        };
        let username = complaint(&self.username, is_blank);
        let password = complaint(&self.password, str::is_empty);
        let complaint = Json(Box::new(DjangoError { username, password, ..Default::default() }));
        self.credentials().ok_or(Shut::BadRequest(complaint))
    }
}

/// Blanks around a name do not count; those of a password do.
fn is_blank(name: &str) -> bool {
    name.trim().is_empty()
}

impl<'a, const FORM: bool> ApiExtractor<'a> for Fields<FORM> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        DjangoCredentials::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let content_type = if FORM { "application/x-www-form-urlencoded" } else { "application/json" };
        let content = vec![MetaMediaType { content_type, schema: DjangoCredentials::schema_ref() }];
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let bytes = body::read(body).await?;
        Ok(read_fields(request, &bytes)?)
    }
}

fn read_fields<const FORM: bool>(request: &Request, bytes: &[u8]) -> Result<Fields<FORM>, Shut> {
    if bytes.is_empty() {
        return Ok(Fields { username: None, password: None });
    }
    if body::is(request, "application/x-www-form-urlencoded") {
        let bad = |bad: form::BadForm| Shut::BadRequest(detail(format!("Form parse error - {bad}")));
        let mut form = form::parse_with_blanks(bytes).map_err(bad)?;
        return Ok(Fields { username: form.remove("username"), password: form.remove("password") });
    }
    if body::is(request, "application/json") {
        let bad = |_| Shut::BadRequest(detail("JSON parse error - the body is not JSON"));
        let json: serde_json::Value = serde_json::from_slice(bytes).map_err(bad)?;
        let text = |field: &str| json.get(field).and_then(|value| value.as_str()).map(str::to_owned);
        return Ok(Fields { username: text("username"), password: text("password") });
    }
    let media_type = request.content_type().unwrap_or_default();
    Err(Shut::UnsupportedMediaType(detail(format!("Unsupported media type \"{media_type}\" in request."))))
}

#[OpenApi(tag = "Tag::Django")]
impl DjangoApi {
    /// Log in, the hand-made way with JSON
    ///
    /// A form is accepted too. A missing field is a bad credential.
    #[oai(path = "/api/login/", method = "post", operation_id = "djangoApiLogin")]
    async fn api_login(
        &self,
        request: &Request,
        app: Data<&Arc<App>>,
        fields: Fields<false>,
    ) -> Result<Json<DjangoToken>, Shut> {
        let denied = || Shut::Unauthorized(error("Invalid Credentials"), "Token".to_owned());
        let credentials = fields.credentials().ok_or_else(denied)?;
        Ok(token(&log_in(app.0, request, credentials).await?.ok_or_else(denied)?))
    }

    /// A page behind `Authorization: Token …`
    #[oai(path = "/api/protected/", method = "get", operation_id = "djangoApiProtected")]
    async fn api_protected(&self, bearer: Bearer, request: &Request) -> Result<Json<DjangoMessage>, Shut> {
        held(bearer, request)?;
        Ok(message("You have access to this protected endpoint."))
    }

    /// Log in, as with Django REST framework's `obtain_auth_token`
    ///
    /// A form is accepted too. Bad credentials are 400 here, as they are there.
    #[oai(path = "/api-token-auth/", method = "post", operation_id = "djangoObtainAuthToken")]
    async fn obtain_auth_token(
        &self,
        request: &Request,
        app: Data<&Arc<App>>,
        fields: Fields<false>,
    ) -> Result<Json<DjangoToken>, Shut> {
        Ok(token(&log_in(app.0, request, fields.required()?).await?.ok_or_else(unable)?))
    }

    /// Log in, the hand-made way with a form
    ///
    /// JSON is accepted too. A missing field is a bad credential.
    #[oai(path = "/custom_login/", method = "post", operation_id = "djangoCustomLogin")]
    async fn custom_login(
        &self,
        request: &Request,
        app: Data<&Arc<App>>,
        fields: Fields<true>,
    ) -> Result<Json<DjangoToken>, Shut> {
        let denied = || Shut::Unauthorized(error("Invalid credentials"), "Token".to_owned());
        let credentials = fields.credentials().ok_or_else(denied)?;
        Ok(token(&log_in(app.0, request, credentials).await?.ok_or_else(denied)?))
    }

    /// A page behind a bare token in `Authorization`
    #[oai(path = "/protected_view/", method = "get", operation_id = "djangoProtectedView")]
    async fn protected_view(&self, bearer: Bearer) -> Result<Json<DjangoMessage>, Shut> {
        let denied = |text| Shut::Unauthorized(error(text), "Token".to_owned());
        match bearer.result {
            Ok(_) => Ok(message("Welcome, you are authenticated!")),
            Err(NotHeld::Missing) => Err(denied("Token missing")),
            Err(NotHeld::Unreadable | NotHeld::Failed(Failure::Refused(_))) => Err(denied("Invalid token")),
            Err(NotHeld::Failed(Failure::Unanswered(cause))) => Err(cause.into()),
        }
    }

    /// Log in, as with knox
    ///
    /// HTTP Basic, JSON or a form.
    #[oai(path = "/api/auth/login/", method = "post", operation_id = "knoxLogin")]
    async fn knox_login(
        &self,
        request: &Request,
        app: Data<&Arc<App>>,
        fields: Fields<false>,
    ) -> Result<Json<KnoxToken>, Shut> {
        let wrong = |text| Shut::Unauthorized(detail(text), "Basic realm=\"api\"".to_owned());
        let unreadable = |bad| match bad {
            BadBasic::Unreadable => wrong("Invalid basic header. Credentials string should not contain spaces."),
            BadBasic::Malformed => wrong("Invalid basic header. Credentials not correctly base64 encoded."),
        };
        let issued = match session::by_basic(request).map_err(unreadable)? {
            Some(basic) => log_in(app.0, request, basic).await?.ok_or_else(|| wrong("Invalid username/password."))?,
            None => log_in(app.0, request, fields.required()?).await?.ok_or_else(unable)?,
        };
        Ok(Json(KnoxToken {
            expiry: Time(issued.held.expires_at()),
            token: issued.secret.expose().to_owned(),
            user: KnoxUser { username: issued.held.username().to_owned() },
        }))
    }

    /// Log out, as with knox
    #[oai(path = "/api/auth/logout/", method = "post", operation_id = "knoxLogout")]
    async fn knox_logout(&self, bearer: Bearer, request: &Request, app: Data<&Arc<App>>) -> Result<Done, Shut> {
        let (now, from) = (bearer.now, bearer.from.clone());
        let held = held(bearer, request)?;
        let by = Actor::owner(&held.owner(), &from).with(held.id());
        revoke::one(app.0, held.id(), &by, Why::Logout, now).await?;
        Ok(Done::NoContent)
    }

    /// Log out everywhere, as with knox
    ///
    /// Revokes every session of the user.
    #[oai(path = "/api/auth/logoutall/", method = "post", operation_id = "knoxLogoutAll")]
    async fn knox_logout_all(&self, bearer: Bearer, request: &Request, app: Data<&Arc<App>>) -> Result<Done, Shut> {
        let (now, from) = (bearer.now, bearer.from.clone());
        let held = held(bearer, request)?;
        let by = Actor::owner(&held.owner(), &from).with(held.id());
        users::end_tokens(app.0, held.owner(), vec![Kind::Session], &by, now).await?;
        revoke::one(app.0, held.id(), &by, Why::LogoutAll, now).await?;
        Ok(Done::NoContent)
    }
}

/// Logs in; bad credentials are `None`, for each door has its own words for them. What is longer than any password may be
/// is one, and is not hashed to find out.
async fn log_in(app: &Arc<App>, request: &Request, credentials: Credentials) -> Result<Option<Issued>, Shut> {
    if credentials.password.is_longer_than(app.config.passwords.max_length) {
        return Ok(None);
    }
    let from = client_address::origin(request, app);
    match login::login(app, &from, credentials, Wanted::default(), false, app.clock.now()).await {
        Ok(logged_in) => Ok(Some(logged_in.access)),
        Err(Error::BadCredentials) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn token(issued: &Issued) -> Json<DjangoToken> {
    Json(DjangoToken { token: issued.secret.expose().to_owned() })
}

fn message(text: &str) -> Json<DjangoMessage> {
    Json(DjangoMessage { message: text.to_owned() })
}

/// Django REST framework's words for bad credentials.
fn unable() -> Shut {
    let complaint = vec!["Unable to log in with provided credentials.".to_owned()];
    Shut::BadRequest(Json(Box::new(DjangoError { non_field_errors: Some(complaint), ..Default::default() })))
}

/// The token that was presented, or Django REST framework's words for why there is none.
fn held(bearer: Bearer, request: &Request) -> Result<HeldRef, Shut> {
    let denied = |text: &str| Shut::Unauthorized(detail(text), "Token".to_owned());
    match bearer.result {
        Ok(checked) => Ok(checked.held),
        Err(NotHeld::Missing) if is_bare_scheme(request) => {
            Err(denied("Invalid token header. No credentials provided."))
        }
        Err(NotHeld::Missing) => Err(denied("Authentication credentials were not provided.")),
        Err(NotHeld::Unreadable) if is_one_word(request) => {
            Err(denied("Invalid token header. Token string should not contain invalid characters."))
        }
        Err(NotHeld::Unreadable) => Err(denied("Invalid token header. Token string should not contain spaces.")),
        Err(NotHeld::Failed(Failure::Refused(_))) => Err(denied("Invalid token.")),
        Err(NotHeld::Failed(Failure::Unanswered(cause))) => Err(cause.into()),
    }
}

fn is_bare_scheme(request: &Request) -> bool {
    request.header(header::AUTHORIZATION).is_some_and(|value| value.trim().eq_ignore_ascii_case("token"))
}

/// Whether what follows the scheme is one word, of whatever bytes; two `Authorization` fields are not.
fn is_one_word(request: &Request) -> bool {
    let mut fields = request.headers().get_all(header::AUTHORIZATION).iter();
    let (first, second) = (fields.next(), fields.next());
    let words = |bytes: &[u8]| bytes.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).count();
    second.is_none() && first.is_some_and(|field| words(field.as_bytes()) <= 2)
}

impl From<Error> for Shut {
    fn from(cause: Error) -> Self {
        match cause {
            Error::Throttled { retry_after, policy } => Self::throttled(retry_after, policy),
            Error::TokenLimit { .. } => Self::Forbidden(error("Maximum amount of tokens allowed per user exceeded.")),
            Error::BadCredentials | Error::BadClient | Error::Refused(_) | Error::NotFound(_) => {
                Self::Unauthorized(detail("Invalid username/password."), "Token".to_owned())
            }
            Error::Forbidden(text) | Error::Conflict(text) => Self::Forbidden(detail(text)),
            Error::InsufficientScope { .. } => {
                Self::Forbidden(detail("You do not have permission to perform this action."))
            }
            Error::Invalid { message, .. } => Self::BadRequest(detail(message)),
            Error::Busy => Self::unavailable(),
            Error::Storage(cause) => {
                tracing::error!(%cause, "the database failed a request");
                Self::unavailable()
            }
            Error::Internal(cause) => {
                tracing::error!(%cause, "a request failed");
                Self::Broken(detail("Internal server error."))
            }
        }
    }
}

impl Shut {
    fn unavailable() -> Self {
        Self::Unavailable(detail("Service temporarily unavailable, try again later."), 1)
    }

    fn throttled(wait: Duration, policy: Policy) -> Self {
        let seconds = rate_limit::seconds(wait);
        let unit = if seconds == 1 { "second" } else { "seconds" };
        let text = detail(format!("Request was throttled. Expected available in {seconds} {unit}."));
        Self::Throttled(text, seconds, rate_limit::policy(policy), rate_limit::state(policy, wait))
    }
}
