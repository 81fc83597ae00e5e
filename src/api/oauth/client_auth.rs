//! Which client is calling (RFC 6749 §2.3): by HTTP Basic or in the body, never both.

use base64::{Engine, prelude::BASE64_STANDARD};
use entity::Timestamp;
use poem::{
    Request, RequestBody,
    http::{HeaderMap, header},
};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaSecurityScheme, Registry},
};
use zeroize::Zeroizing;

use super::{error::Refused, form::Form};
use crate::{
    api::form,
    app::App,
    client::{self, Model},
    error::Error,
};

/// The client whose credentials the request has; none if it has none.
///
/// Another scheme than Basic in `Authorization` is not for us: programs send their last access token along with everything.
pub async fn client<T>(
    app: &App,
    headers: &HeaderMap,
    form: &Form<T>,
    now: Timestamp,
) -> Result<Option<Model>, Refused> {
    let in_body = (form.get("client_id"), form.get("client_secret"));
    match (basic(headers)?, in_body) {
        (Some(_), (_, Some(_))) => Err(Refused::invalid_request("client authentication is there twice")),
        (Some(basic), (named, None)) => by_basic(app, &basic, named, now).await.map(Some),
        (None, (Some(id), Some(secret))) => Ok(Some(client::authenticate(app, id, secret, now).await?)),
        (None, (None, None)) => Ok(None),
        // There are no clients without a secret.
        (None, _) => Err(Refused::invalid_client()),
    }
}

/// Id and secret as they stand in the header.
pub(crate) struct Basic {
    pub(crate) id: Zeroizing<String>,
    pub(crate) secret: Zeroizing<String>,
}

/// HTTP Basic, if the request has it; the id ends at the first colon.
pub(crate) fn basic(headers: &HeaderMap) -> Result<Option<Basic>, Refused> {
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let Some(field) = fields.next() else { return Ok(None) };
    if fields.next().is_some() {
        return Err(Refused::invalid_request("Authorization is there twice"));
    }
    let field = field.as_bytes().trim_ascii();
    let (scheme, encoded) = field.split_at(field.iter().position(|byte| *byte == b' ').unwrap_or(field.len()));
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return Ok(None);
    }
    let decoded = BASE64_STANDARD.decode(encoded.trim_ascii()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let decoded = Zeroizing::new(decoded.ok_or_else(Refused::invalid_client)?);
    let (id, secret) = decoded.split_once(':').ok_or_else(Refused::invalid_client)?;
    Ok(Some(Basic { id: Zeroizing::new(id.to_owned()), secret: Zeroizing::new(secret.to_owned()) }))
}

/// Both are form-encoded first (RFC 6749 §2.3.1), which some clients do for every character that is no letter or digit, and
/// some not at all. So both readings are tried.
async fn by_basic(app: &App, raw: &Basic, named: Option<&str>, now: Timestamp) -> Result<Model, Refused> {
    let decoded = form::decode(raw.id.as_bytes()).and_then(|id| Ok((id, form::decode(raw.secret.as_bytes())?)));
    let decoded = decoded.ok().map(|(id, secret)| Basic { id: Zeroizing::new(id), secret: Zeroizing::new(secret) });
    let readings = [decoded.as_ref(), Some(raw)];
    if named.is_some_and(|named| readings.iter().flatten().all(|reading| *reading.id != named)) {
        return Err(Refused::invalid_request("client_id is not the one in Authorization"));
    }
    for reading in readings.into_iter().flatten() {
        match client::authenticate(app, &reading.id, &reading.secret, now).await {
            Err(Error::BadClient) => {}
            other => return Ok(other?),
        }
    }
    Err(Refused::invalid_client())
}

/// Says in the document that a client may authenticate with HTTP Basic, and reads nothing.
#[derive(Debug)]
pub struct Documented;

impl<'a> ApiExtractor<'a> for Documented {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        registry.create_security_scheme(
            CLIENT,
            MetaSecurityScheme {
                ty: "http",
                description: Some("Client id and secret by HTTP Basic (RFC 6749 §2.3.1); or both in the body"),
                name: None,
                key_in: None,
                scheme: Some("basic"),
                bearer_format: None,
                flows: None,
                openid_connect_url: None,
            },
        );
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![CLIENT]
    }

    async fn from_request(
        _request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(Self)
    }
}

const CLIENT: &str = "clientAuth";
