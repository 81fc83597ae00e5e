//! Who is asking: the token of a request, checked. Holding a [`Caller`] is the proof.
//!
//! The framework's own security schemes never ask when a credential is absent, and hide why one is refused; these
//! extractors answer exactly. They come first among a handler's arguments, so that nothing about a body is told to
//! somebody who may not send one.

use std::{marker::PhantomData, sync::Arc};

use entity::{Scopes, Timestamp, TokenDigest};
use poem::{
    Request, RequestBody,
    http::{HeaderMap, header},
};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaSecurityScheme, Registry},
};
use uuid::Uuid;

use super::{client_address, problem::ApiError};
use crate::{
    app::App,
    audit::{Actor, Origin},
    error::Error,
    token::{
        HeldRef, Owner,
        check::{self, Checked, Failure},
    },
};

/// What a request presents.
#[derive(PartialEq, Eq)]
pub enum Credential<'a> {
    /// Nothing that is a token.
    None,
    /// A token, or what claims to be one.
    Token(&'a str),
    /// More than one, or a value that is no text.
    Unreadable,
}

/// Reads the `Authorization` header: `Bearer <token>` (RFC 6750 §2.1), `Token <token>` (Django REST framework) or the
/// bare token. Scheme names have no case.
pub fn credential(headers: &HeaderMap) -> Credential<'_> {
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let Some(field) = fields.next() else { return Credential::None };
    if fields.next().is_some() {
        return Credential::Unreadable;
    }
    let Ok(value) = field.to_str() else { return Credential::Unreadable };
    let mut words = value.split_ascii_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(word), None, _) if is_scheme(word, &["bearer", "token", "basic", "digest", "negotiate"]) => {
            Credential::None
        }
        (Some(token), None, _) => Credential::Token(token),
        (Some(scheme), Some(token), None) if is_scheme(scheme, &["bearer", "token"]) => Credential::Token(token),
        (Some(scheme), ..) if is_scheme(scheme, &["bearer", "token"]) => Credential::Unreadable,
        (..) => Credential::None,
    }
}

fn is_scheme(word: &str, schemes: &[&str]) -> bool {
    schemes.iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
}

/// The caller of a `/v1` operation.
#[derive(Debug)]
pub struct Caller {
    /// The presented token, which works.
    pub held: HeldRef,
    /// The digest of what was presented.
    pub digest: TokenDigest,
    /// Where the request came from.
    pub from: Origin,
    /// The instant of the request.
    pub now: Timestamp,
}

impl Caller {
    /// The caller, for the record of what they do.
    pub fn actor(&self) -> Actor {
        Actor::owner(&self.owner(), &self.from).with(self.held.id())
    }

    /// Whether this caller administers.
    pub fn is_admin(&self) -> bool {
        self.held.is_admin()
    }

    /// Refuses whoever does not administer.
    pub fn must_be_admin(&self) -> Result<(), Error> {
        if self.is_admin() { Ok(()) } else { Err(Error::InsufficientScope { needed: Scopes::ADMIN.to_owned() }) }
    }

    /// Whose the presented token is.
    pub fn owner(&self) -> Owner {
        self.held.owner()
    }

    /// The user of the presented token; a client's own token has none.
    pub fn user_id(&self) -> Result<Uuid, Error> {
        self.held.user_id().ok_or_else(|| Error::Forbidden("this token belongs to no user".to_owned()))
    }
}

impl<'a> ApiExtractor<'a> for Caller {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        registry.create_security_scheme(BEARER, bearer_scheme());
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![BEARER]
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let app = app(request)?;
        let now = app.clock.now();
        match credential(request.headers()) {
            Credential::None => Err(ApiError::no_token().into()),
            Credential::Unreadable => {
                Err(ApiError::bad_credentials_format("Authorization must be there once and hold one token").into())
            }
            Credential::Token(text) => {
                let Checked { held, digest } = check::check(app, text, now).await.map_err(ApiError::from)?;
                Ok(Self { held, digest, from: client_address::origin(request, app), now })
            }
        }
    }
}

/// A caller who administers.
#[derive(Debug)]
pub struct Admin(pub Caller);

impl<'a> ApiExtractor<'a> for Admin {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        Caller::register(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        Caller::security_schemes()
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let caller = Caller::from_request(request, body, options).await?;
        caller.must_be_admin().map_err(ApiError::from)?;
        Ok(Self(caller))
    }
}

/// Says in the document what an extractor says there, and reads nothing: the operation reads for itself.
#[derive(Debug)]
pub struct Documented<E>(PhantomData<fn() -> E>);

impl<'a, E: for<'e> ApiExtractor<'e>> ApiExtractor<'a> for Documented<E> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        E::register(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        E::security_schemes()
    }

    async fn from_request(
        _request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(Self(PhantomData))
    }
}

/// The caller of a Django door, which answers in its own words when the token does not work.
#[derive(Debug)]
pub struct Bearer {
    /// What was presented, and what came of it.
    pub result: Result<Checked, NotHeld>,
    /// Where the request came from.
    pub from: Origin,
    /// The instant of the request.
    pub now: Timestamp,
}

/// Why there is no caller.
#[derive(Debug)]
pub enum NotHeld {
    /// No token was presented.
    Missing,
    /// More than one credential, or one that cannot be read.
    Unreadable,
    /// The token does not work, or that could not be found out.
    Failed(Failure),
}

impl<'a> ApiExtractor<'a> for Bearer {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        registry.create_security_scheme(BEARER, bearer_scheme());
        registry.create_security_scheme(TOKEN, token_scheme());
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![TOKEN, BEARER]
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let app = app(request)?;
        let now = app.clock.now();
        let result = match credential(request.headers()) {
            Credential::None => Err(NotHeld::Missing),
            Credential::Unreadable => Err(NotHeld::Unreadable),
            Credential::Token(text) => check::check(app, text, now).await.map_err(NotHeld::Failed),
        };
        Ok(Self { result, from: client_address::origin(request, app), now })
    }
}

/// The service's state, which `routes` puts into every request.
pub fn app(request: &Request) -> Result<&Arc<App>, ApiError> {
    let app = request.data::<Arc<App>>();
    app.ok_or_else(|| Error::Internal("the request was not given the service's state".to_owned()).into())
}

const BEARER: &str = "bearerAuth";
const TOKEN: &str = "tokenAuth";

fn bearer_scheme() -> MetaSecurityScheme {
    MetaSecurityScheme {
        ty: "http",
        description: Some("`Authorization: Bearer <token>` (RFC 6750)"),
        name: None,
        key_in: None,
        scheme: Some("bearer"),
        bearer_format: None,
        flows: None,
        openid_connect_url: None,
    }
}

fn token_scheme() -> MetaSecurityScheme {
    MetaSecurityScheme {
        ty: "apiKey",
        description: Some("`Authorization: Token <token>` (Django REST framework), or the bare token"),
        name: Some("Authorization"),
        key_in: Some("header"),
        scheme: None,
        bearer_format: None,
        flows: None,
        openid_connect_url: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(header::AUTHORIZATION, field.parse().unwrap());
        }
        match credential(&headers) {
            Credential::None => "none".to_owned(),
            Credential::Unreadable => "unreadable".to_owned(),
            Credential::Token(token) => token.to_owned(),
        }
    }

    #[test]
    fn three_forms_carry_a_token() {
        for form in ["Bearer abc", "bearer abc", "BEARER   abc", "Token abc", "tOKEN abc", "abc", " abc "] {
            assert_eq!(read(&[form]), "abc", "{form}");
        }
    }

    #[test]
    fn another_scheme_or_none_is_no_token() {
        for form in ["", "Bearer", "bearer ", "Token", "Basic", "Basic YTpi", "Digest a=b, c=d"] {
            assert_eq!(read(&[form]), "none", "{form}");
        }
        assert_eq!(read(&[]), "none");
    }

    #[test]
    fn more_than_one_is_refused() {
        assert_eq!(read(&["Bearer a", "Bearer b"]), "unreadable");
        assert_eq!(read(&["Bearer a b"]), "unreadable");
        assert_eq!(read(&["Bearer abc, Bearer def"]), "unreadable");
        assert_eq!(read(&["Bearer caf\u{e9}"]), "unreadable");
    }
}
