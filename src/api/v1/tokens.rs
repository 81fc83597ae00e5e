//! Issuing, listing, renewing, rotating and revoking tokens.

use std::sync::Arc;

use entity::{Scopes, user};
use poem::{Request, http::StatusCode, web::Data};
use poem_openapi::{
    ApiResponse, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::Example,
};
use serde::Deserialize;
use uuid::Uuid;

use super::session::{Done, wanted};
use crate::{
    account::{limits, users},
    api::{
        auth::Caller,
        body::{self, Body, OptionalBody},
        client_address,
        json::{IssuedToken, Time, TokenInfo, TokenKind, TokenState, cut, page_size, parse_cursor},
        problem::ApiError,
        tags::Tag,
    },
    app::App,
    error::Error,
    token::{
        self, Held, HeldRef, Kind, Owner,
        issue::{self, Issued, Wanted},
        list, renew,
        revoke::{self, Why},
        rotate::{self, Rotator},
    },
};

/// Tokens.
#[derive(Debug)]
pub struct TokensApi;

/// What is wanted of a new token.
#[derive(Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct IssueRequest {
    /// What to call it.
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
    /// What it may do; all that the presented token may but the `daypass:*` scopes, if left out.
    scopes: Option<Vec<String>>,
    /// Whose it shall be, by name or id: administrators only.
    user: Option<String>,
}

impl Example for IssueRequest {
    fn example() -> Self {
        Self {
            name: Some("nightly import".to_owned()),
            ttl: Some(7_776_000),
            idle_timeout: None,
            // None named, so that trying this in the docs works for everybody: nobody can give what they do not hold.
            scopes: None,
            user: None,
        }
    }
}

/// A token was made.
#[derive(ApiResponse)]
pub enum Created {
    /// Issued. The token is shown here once and never again.
    #[oai(status = 201)]
    Token(Json<IssuedToken>),
}

/// One page of tokens, newest first.
#[derive(Debug, Object)]
#[oai(example)]
pub struct TokenPage {
    /// The tokens.
    items: Vec<TokenInfo>,
    /// Asks for the next page; null on the last.
    next_cursor: Option<String>,
}

impl Example for TokenPage {
    fn example() -> Self {
        Self { items: vec![TokenInfo::example()], next_cursor: None }
    }
}

/// How to renew.
#[derive(Debug, Default, Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct RenewRequest {
    /// Seconds from now; the ttl it was issued with if left out, and never beyond its `max_expires_at`.
    #[serde(default, deserialize_with = "body::whole_number")]
    #[oai(validator(minimum(value = "1")))]
    ttl: Option<i64>,
}

impl Example for RenewRequest {
    fn example() -> Self {
        Self { ttl: Some(36_000) }
    }
}

/// How to rotate.
#[derive(Debug, Default, Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct RotateRequest {
    /// Seconds for which the old secret works too, at most 7 days; 0 if left out.
    #[serde(default, deserialize_with = "body::whole_number")]
    #[oai(validator(minimum(value = "0"), maximum(value = "604800")))]
    overlap: Option<i64>,
}

impl Example for RotateRequest {
    fn example() -> Self {
        Self { overlap: Some(300) }
    }
}

/// Tokens that leaked.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct LeakedTokens {
    /// The tokens themselves.
    #[oai(validator(min_items = 1, max_items = 500))]
    tokens: Vec<String>,
}

impl Example for LeakedTokens {
    fn example() -> Self {
        Self { tokens: vec!["dpk_0…".to_owned()] }
    }
}

/// The request was understood.
#[derive(ApiResponse)]
pub enum Accepted {
    /// Those that are real have been revoked; which these are is not told.
    #[oai(status = 202)]
    Accepted,
}

#[OpenApi(prefix_path = "/v1/tokens", tag = "Tag::Tokens")]
impl TokensApi {
    /// Issue a token
    ///
    /// Makes a token of kind `api` for the caller. A session may; an `api` token only if it holds `daypass:issue` or
    /// `daypass:admin`. It lives on when the token that made it is revoked.
    #[oai(path = "/", method = "post", operation_id = "issueToken")]
    async fn issue(
        &self,
        caller: Caller,
        app: Data<&Arc<App>>,
        request: Body<IssueRequest>,
    ) -> Result<Created, ApiError> {
        let IssueRequest { name, ttl, idle_timeout, scopes, user } = request.0;
        may_issue(&caller)?;
        let wanted = wanted(name, ttl, idle_timeout, scopes)?;
        let issued = issue_for(app.0, &caller, user.as_deref(), wanted).await?;
        Ok(Created::Token(Json(IssuedToken::show(&app, &issued, caller.now))))
    }

    /// List tokens
    ///
    /// The caller's own, or everybody's for an administrator; newest first.
    #[oai(path = "/", method = "get", operation_id = "listTokens")]
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the operation")]
    async fn list(
        &self,
        caller: Caller,
        app: Data<&Arc<App>>,
        /// Only tokens in this state; all if left out.
        state: Query<Option<TokenState>>,
        /// Only tokens of this kind.
        kind: Query<Option<TokenKind>>,
        /// Only tokens of this user, by name or id.
        user: Query<Option<String>>,
        /// Only tokens that end before this instant.
        expires_before: Query<Option<Time>>,
        /// How many at most.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<i64>>,
        /// Where to go on: a `next_cursor`.
        cursor: Query<Option<String>>,
    ) -> Result<Json<TokenPage>, ApiError> {
        let limit = page_size(limit.0);
        let after = parse_cursor(cursor.0.as_deref())?;
        let Some(owner) = listed_owner(&app, &caller, user.0.as_deref()).await? else {
            return Ok(Json(TokenPage { items: Vec::new(), next_cursor: None }));
        };
        let filter = list::Filter {
            owner: owner.whose(),
            state: state.0.map(Into::into),
            kind: kind.0.map(Into::into),
            expires_before: expires_before.0.map(|time| time.0),
        };
        let mut rows = list::page(&app, &filter, after, limit + 1, caller.now).await?;
        let next_cursor = cut(&mut rows, limit, Held::id);
        let items = rows.iter().map(|held| TokenInfo::of(&app, held, caller.now)).collect();
        Ok(Json(TokenPage { items, next_cursor }))
    }

    /// Look at a token
    #[oai(path = "/:id", method = "get", operation_id = "getToken")]
    async fn get(
        &self,
        caller: Caller,
        app: Data<&Arc<App>>,
        /// A token id, or `current` for the presented token.
        id: Path<String>,
    ) -> Result<Json<TokenInfo>, ApiError> {
        let held = reachable(&app, &caller, &id).await?;
        Ok(Json(TokenInfo::of(&app, &held, caller.now)))
    }

    /// Renew a token
    ///
    /// Moves its end to `now + ttl`, at most to `max_expires_at`, never back. For `api` tokens and the presented one, if
    /// the presented one holds every scope of it.
    #[oai(path = "/:id/renew", method = "post", operation_id = "renewToken")]
    async fn renew(
        &self,
        caller: Caller,
        app: Data<&Arc<App>>,
        /// A token id, or `current` for the presented token.
        id: Path<String>,
        request: OptionalBody<RenewRequest>,
    ) -> Result<Json<TokenInfo>, ApiError> {
        let id = prolongable(&app, &caller, &id).await?.id();
        let renewed = renew::renew(app.0, id, caller.held.scopes(), request.0.ttl, &caller.actor()).await?;
        Ok(Json(TokenInfo::of(&app, &renewed, caller.now)))
    }

    /// Rotate a token
    ///
    /// Gives it a new secret; id, policy and scopes stay. For `overlap` seconds the old secret works too; rotating again
    /// ends an overlap that still runs. For `api` tokens and the presented one, as with renewing.
    #[oai(path = "/:id/rotate", method = "post", operation_id = "rotateToken")]
    async fn rotate(
        &self,
        caller: Caller,
        app: Data<&Arc<App>>,
        /// A token id, or `current` for the presented token.
        id: Path<String>,
        request: OptionalBody<RotateRequest>,
    ) -> Result<Json<IssuedToken>, ApiError> {
        let id = prolongable(&app, &caller, &id).await?.id();
        let digest = (id == caller.held.id()).then_some(caller.digest);
        let by = Rotator { powers: caller.held.scopes(), actor: caller.actor(), digest };
        let issued = rotate::rotate(app.0, id, by, request.0.overlap.unwrap_or(0)).await?;
        Ok(Json(IssuedToken::show(&app, &issued, caller.now)))
    }

    /// Revoke a token
    ///
    /// It never works again. Revoking it twice is no error. A refresh token ends with all that came of the same login, and so
    /// does a session that has one.
    #[oai(path = "/:id", method = "delete", operation_id = "revokeToken")]
    async fn revoke(
        &self,
        caller: Caller,
        app: Data<&Arc<App>>,
        /// A token id, or `current` for the presented token.
        id: Path<String>,
    ) -> Result<Done, ApiError> {
        let held = reachable(&app, &caller, &id).await?;
        revoke::one(app.0, held.id(), &caller.actor(), Why::Requested, caller.now).await?;
        Ok(Done::NoContent)
    }

    /// Revoke leaked tokens
    ///
    /// For whoever finds tokens where they should not be: up to 500 at once, without logging in; each ends with its family, if
    /// it is of one. The answer tells nothing about them.
    #[oai(path = "/revoke", method = "post", operation_id = "revokeByPossession")]
    async fn revoke_by_possession(
        &self,
        request: &Request,
        app: Data<&Arc<App>>,
        leaked: Body<LeakedTokens>,
    ) -> Result<Accepted, ApiError> {
        let tokens = leaked.0.tokens;
        if !(1..=revoke::MOST_AT_ONCE).contains(&tokens.len()) {
            let message = format!("must hold 1 to {} tokens", revoke::MOST_AT_ONCE);
            return Err(ApiError::field(StatusCode::UNPROCESSABLE_ENTITY, "tokens", message));
        }
        let now = app.clock.now();
        let from = client_address::origin(request, &app);
        limits::revocation_from(app.0, &from, now).await?;
        revoke::by_possession(app.0, &tokens, &from, now).await?;
        Ok(Accepted::Accepted)
    }
}

/// A session may issue; an `api` token only with a scope for it; others never.
fn may_issue(caller: &Caller) -> Result<(), Error> {
    let needed = format!("{} {}", Scopes::ISSUE, Scopes::ADMIN);
    match caller.held.kind() {
        Kind::Session => Ok(()),
        Kind::Api if caller.is_admin() || caller.held.holds(Scopes::ISSUE) => Ok(()),
        Kind::Api => Err(Error::InsufficientScope { needed }),
        Kind::Client | Kind::Refresh => Err(Error::Forbidden("a token of this kind issues no others".to_owned())),
    }
}

/// Issues for the caller, or for whom an administrator names.
async fn issue_for(app: &Arc<App>, caller: &Caller, named: Option<&str>, wanted: Wanted) -> Result<Issued, ApiError> {
    let target = match named {
        Some(named) => named_user(app, named).await?.map(|user| user.id),
        None => Some(caller.user_id()?),
    };
    let is_own = target.is_some() && target == caller.held.user_id();
    if !is_own {
        caller.must_be_admin()?;
    }
    let target = target.ok_or_else(|| ApiError::field(StatusCode::UNPROCESSABLE_ENTITY, "user", "is not known"))?;
    Ok(issue::api(app, target, wanted, Some(&caller.held), &caller.actor(), caller.now).await?)
}

pub(super) async fn named_user(app: &App, named: &str) -> Result<Option<user::Model>, Error> {
    match named.parse::<Uuid>() {
        Ok(id) => match users::find(app.db.reader(), id).await {
            Ok(user) => Ok(Some(user)),
            // A name may look like an id.
            Err(Error::NotFound(_)) => Ok(users::find_by_name(app.db.reader(), &named.to_ascii_lowercase()).await?),
            Err(error) => Err(error),
        },
        Err(_) => Ok(users::find_by_name(app.db.reader(), &named.to_ascii_lowercase()).await?),
    }
}

/// Whose tokens a list shows.
enum Listed {
    Everybodys,
    Of(Owner),
}

impl Listed {
    fn whose(self) -> Option<Owner> {
        match self {
            Self::Everybodys => None,
            Self::Of(owner) => Some(owner),
        }
    }
}

/// The caller's own unless they administer; nobody's if another user's are asked for, or those of nobody.
async fn listed_owner(app: &App, caller: &Caller, named: Option<&str>) -> Result<Option<Listed>, ApiError> {
    let Some(named) = named else {
        return Ok(Some(if caller.is_admin() { Listed::Everybodys } else { Listed::Of(caller.owner()) }));
    };
    let named = named_user(app, named).await?.map(|user| Owner::User(user.id));
    Ok(named.filter(|owner| caller.is_admin() || *owner == caller.owner()).map(Listed::Of))
}

/// The token of this id, if it is the caller's or the caller administers; else there is none.
async fn reachable(app: &App, caller: &Caller, id: &str) -> Result<HeldRef, ApiError> {
    if id == "current" {
        return Ok(HeldRef::clone(&caller.held));
    }
    let id = id.parse::<Uuid>();
    let id = id.map_err(|_| ApiError::field(StatusCode::BAD_REQUEST, "id", "must be a UUID, or current"))?;
    let held = token::find(app.db.reader(), id).await?;
    let held = held.filter(|held| caller.is_admin() || held.owner() == caller.owner());
    Ok(held.map(HeldRef::new).ok_or(Error::NotFound("token"))?)
}

/// A token that the caller may give more time or a new secret, if its scopes allow that.
async fn prolongable(app: &App, caller: &Caller, id: &str) -> Result<HeldRef, ApiError> {
    let held = reachable(app, caller, id).await?;
    if held.kind() != Kind::Api && held.id() != caller.held.id() {
        return Err(
            Error::Forbidden("only api tokens and the presented token can be renewed or rotated".to_owned()).into()
        );
    }
    Ok(held)
}
