//! Which client is calling (RFC 6749 §2.3): by HTTP Basic or in the body, never both.

use entity::Timestamp;
use poem::{Request, RequestBody, http::HeaderMap};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaSecurityScheme, Registry},
};
use zeroize::Zeroizing;

use super::{error::Refused, form::Form};
use crate::{
    api::{
        basic::{BadBasic, Basic, basic},
        form,
    },
    app::App,
    client::{self, Model},
    error::Error,
};

/// The client whose credentials the request has; none if it has none.
pub async fn client<T>(
    app: &App,
    headers: &HeaderMap,
    form: &Form<T>,
    now: Timestamp,
) -> Result<Option<Model>, Refused> {
    let in_body = (form.get("client_id"), form.get("client_secret"));
    let basic = basic(headers).map_err(|bad| match bad {
        BadBasic::Unreadable => Refused::invalid_request("Authorization is there twice"),
        BadBasic::Malformed => Refused::invalid_client(),
    })?;
    match (basic, in_body) {
        (Some(_), (_, Some(_))) => Err(Refused::invalid_request("client authentication is there twice")),
        (Some(basic), (named, None)) => by_basic(app, &basic, named, now).await.map(Some),
        (None, (Some(id), Some(secret))) => Ok(Some(client::authenticate(app, id, secret, now).await?)),
        (None, (None, None)) => Ok(None),
        // There are no clients without a secret.
        (None, _) => Err(Refused::invalid_client()),
    }
}

/// Both are form-encoded first (RFC 6749 §2.3.1), which some clients do for every character that is no letter or digit, and
/// some not at all. So both readings are tried.
async fn by_basic(app: &App, raw: &Basic, named: Option<&str>, now: Timestamp) -> Result<Model, Refused> {
    let decoded = form::decode(raw.name.as_bytes()).and_then(|name| Ok((name, form::decode(raw.secret.as_bytes())?)));
    let decoded =
        decoded.ok().map(|(name, secret)| Basic { name: Zeroizing::new(name), secret: Zeroizing::new(secret) });
    let readings = [decoded.as_ref(), Some(raw)];
    if named.is_some_and(|named| readings.iter().flatten().all(|reading| *reading.name != named)) {
        return Err(Refused::invalid_request("client_id is not the one in Authorization"));
    }
    for reading in readings.into_iter().flatten() {
        match client::authenticate(app, &reading.name, &reading.secret, now).await {
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
