//! Shapes that several operations answer, and how a list is paged.

use std::borrow::Cow;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use entity::{Timestamp, user};
use poem::http::StatusCode;
use poem_openapi::{
    Enum, Object,
    registry::{MetaSchema, MetaSchemaRef},
    types::{Example, ParseError, ParseFromJSON, ParseFromParameter, ParseResult, ToJSON, Type},
};
use serde_json::Value;
use uuid::Uuid;

use super::problem::ApiError;
use crate::{
    app::App,
    token::{self, Held, issue::Issued, precision},
};

/// An instant in JSON: RFC 3339 in UTC with milliseconds and a `Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub Timestamp);

impl Type for Time {
    const IS_REQUIRED: bool = true;

    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string_date-time".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("string", "date-time")))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ToJSON for Time {
    fn to_json(&self) -> Option<Value> {
        Some(Value::String(self.0.to_string()))
    }
}

impl ParseFromJSON for Time {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        match value.as_ref().and_then(Value::as_str) {
            Some(text) => Self::parse_from_parameter(text),
            None => Err(ParseError::expected_input()),
        }
    }
}

impl ParseFromParameter for Time {
    fn parse_from_parameter(text: &str) -> ParseResult<Self> {
        text.parse().map(Self).map_err(ParseError::custom)
    }
}

/// What a token was issued for.
#[derive(Clone, Copy, Debug, Enum)]
#[oai(rename_all = "snake_case", remote = "token::Kind")]
pub enum TokenKind {
    /// From a login.
    Session,
    /// Named, made on purpose.
    Api,
    /// From client credentials.
    Client,
    /// Yields other tokens, and nothing else.
    Refresh,
}

/// Whether a token works.
#[derive(Clone, Copy, Debug, Enum)]
#[oai(rename_all = "snake_case", remote = "token::State")]
pub enum TokenState {
    /// It works.
    Active,
    /// Its time is over.
    Expired,
    /// It was ended.
    Revoked,
}

/// Which rule sets a token's end.
#[derive(Clone, Copy, Debug, Enum)]
#[oai(rename_all = "snake_case", remote = "token::LimitedBy")]
pub enum LimitedBy {
    /// The ttl it was issued or renewed with.
    Ttl,
    /// It ends earlier unless it is used.
    IdleTimeout,
    /// No renewal will move it.
    MaxLifetime,
}

/// Whose a token is.
#[derive(Clone, Debug, Object)]
pub struct TokenUser {
    /// The user id.
    pub id: Uuid,
    /// The user name.
    pub username: String,
}

/// A token, without its secret.
#[derive(Clone, Debug, Object)]
#[oai(example)]
pub struct TokenInfo {
    /// The public id: it names the token and never authenticates.
    pub id: Uuid,
    /// What it was issued for.
    pub kind: TokenKind,
    /// Whether it works.
    pub state: TokenState,
    /// What its owner calls it.
    pub name: Option<String>,
    /// The token's last four characters.
    pub hint: String,
    /// Whose it is; null for a client's own.
    pub user: Option<TokenUser>,
    /// The client it was issued to.
    pub client_id: Option<String>,
    /// What it may do.
    pub scopes: Vec<String>,
    /// When it was issued.
    pub created_at: Time,
    /// When it stops working; at that instant it no longer does.
    pub expires_at: Time,
    /// Whole seconds left; 0 when it does not work.
    pub expires_in: i64,
    /// The end that no renewal goes beyond.
    pub max_expires_at: Time,
    /// Seconds it may go unused, if it slides.
    pub idle_timeout: Option<i64>,
    /// Its last use, to within a minute.
    pub last_used_at: Option<Time>,
    /// When it was revoked.
    pub revoked_at: Option<Time>,
    /// Which rule sets `expires_at`.
    pub limited_by: LimitedBy,
}

impl TokenInfo {
    /// What is told of a token at `now`.
    pub fn of(app: &App, held: &Held, now: Timestamp) -> Self {
        let state = held.life().state(now, precision(app));
        let expires_at = held.expires_at();
        let left = if state == token::State::Active { expires_at.millis_since(now).max(0) / 1000 } else { 0 };
        Self {
            id: held.id(),
            kind: held.kind().into(),
            state: state.into(),
            name: held.name().map(str::to_owned),
            hint: held.hint().to_owned(),
            user: held.user_id().map(|id| TokenUser { id, username: held.username().to_owned() }),
            client_id: held.client_id().map(str::to_owned),
            scopes: held.scopes().into(),
            created_at: Time(held.created_at()),
            expires_at: Time(expires_at),
            expires_in: left,
            max_expires_at: Time(held.max_expires_at()),
            idle_timeout: held.idle_timeout(),
            last_used_at: held.last_used_at().map(Time),
            revoked_at: held.revoked_at().map(Time),
            limited_by: held.limited_by().into(),
        }
    }
}

impl Example for TokenInfo {
    fn example() -> Self {
        let created_at = Timestamp::from_millis(1_795_510_800_000);
        Self {
            id: Uuid::from_u128(0x019a_b509_3a80_7c3e_9d12_4f5a_6b7c_8d9e),
            kind: TokenKind::Session,
            state: TokenState::Active,
            name: Some("laptop".to_owned()),
            hint: "Tq3Z".to_owned(),
            user: Some(TokenUser { id: example_user(), username: "alice".to_owned() }),
            client_id: None,
            scopes: vec!["orders:read".to_owned()],
            created_at: Time(created_at),
            expires_at: Time(created_at.plus_seconds(36_000)),
            expires_in: 36_000,
            max_expires_at: Time(created_at.plus_seconds(2_592_000)),
            idle_timeout: None,
            last_used_at: None,
            revoked_at: None,
            limited_by: LimitedBy::Ttl,
        }
    }
}

/// A token that was just made. The `token` is shown here once and never again.
#[derive(Object)]
#[oai(example)]
pub struct IssuedToken {
    /// The token: send it as `Authorization: Bearer <token>`.
    pub token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// The refresh token; there only where one was asked for.
    #[oai(skip_serializing_if_is_none)]
    pub refresh_token: Option<String>,
    /// What is known of it from now on.
    #[oai(flatten)]
    pub info: TokenInfo,
}

impl IssuedToken {
    /// Shows a token that was just made: the one place where a secret leaves.
    pub fn show(app: &App, issued: &Issued, now: Timestamp) -> Self {
        Self {
            token: issued.secret.expose().to_owned(),
            token_type: "Bearer".to_owned(),
            refresh_token: None,
            info: TokenInfo::of(app, &issued.held, now),
        }
    }
}

impl Example for IssuedToken {
    fn example() -> Self {
        Self {
            token: "dps_0…".to_owned(),
            token_type: "Bearer".to_owned(),
            refresh_token: None,
            info: TokenInfo::example(),
        }
    }
}

/// Somebody who can log in.
#[derive(Clone, Debug, Object)]
#[oai(example)]
pub struct User {
    /// The user id.
    pub id: Uuid,
    /// The name as it was given; compared without regard to case.
    pub username: String,
    /// What tokens of this user may hold.
    pub scopes: Vec<String>,
    /// Whether the user is barred from logging in.
    pub disabled: bool,
    /// When the user was made.
    pub created_at: Time,
    /// The last time the password was right.
    pub last_login_at: Option<Time>,
}

impl From<user::Model> for User {
    fn from(row: user::Model) -> Self {
        Self {
            id: row.id,
            username: row.username,
            scopes: row.scopes.into(),
            disabled: row.disabled_at.is_some(),
            created_at: Time(row.created_at),
            last_login_at: row.last_login_at.map(Time),
        }
    }
}

impl Example for User {
    fn example() -> Self {
        Self {
            id: example_user(),
            username: "alice".to_owned(),
            scopes: vec!["orders:read".to_owned()],
            disabled: false,
            created_at: Time(Timestamp::from_millis(1_795_510_800_000)),
            last_login_at: None,
        }
    }
}

fn example_user() -> Uuid {
    Uuid::from_u128(0x019a_b501_77c0_7a11_8f3b_2c4d_5e6f_7081)
}

/// How many rows a page has: 50 when nothing is asked for.
pub fn page_size(limit: Option<i64>) -> u64 {
    limit.and_then(|limit| u64::try_from(limit).ok()).unwrap_or(50)
}

/// Reads a cursor: where the last page ended.
pub fn parse_cursor(cursor: Option<&str>) -> Result<Option<Uuid>, ApiError> {
    let Some(cursor) = cursor else { return Ok(None) };
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok();
    match bytes.and_then(|bytes| Uuid::from_slice(&bytes).ok()) {
        Some(id) => Ok(Some(id)),
        None => Err(ApiError::field(StatusCode::BAD_REQUEST, "cursor", "must be a next_cursor from an earlier answer")),
    }
}

/// Cuts a page that was read with one row too many; the cursor is there only if that row was.
pub fn cut<T>(rows: &mut Vec<T>, limit: u64, id: impl Fn(&T) -> Uuid) -> Option<String> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if rows.len() <= limit {
        return None;
    }
    rows.truncate(limit);
    rows.last().map(|last| cursor_of(id(last)))
}

/// The cursor of a page that ended with this one.
pub fn cursor_of(id: Uuid) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(id.as_bytes())
}
