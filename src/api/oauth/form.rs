//! The body of a request to the OAuth doors: a form, and nothing else (RFC 6749 §3.2).

use std::{collections::HashMap, marker::PhantomData};

use poem::{Request, RequestBody, http::header};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaMediaType, MetaRequest, Registry},
    types::Type,
};

use super::error::Refused;
use crate::api::{body, form};

const MEDIA_TYPE: &str = "application/x-www-form-urlencoded";

/// The parameters of a request, described by `T`.
///
/// They are read here and not by the framework, which would turn bad UTF-8 into U+FFFD and not see every double. It has no
/// `Debug`: it holds secrets.
pub struct Form<T> {
    fields: HashMap<String, String>,
    described: PhantomData<T>,
}

impl<T> Form<T> {
    /// A parameter, if it is there; one without a value is not.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// A parameter that must be there.
    pub fn require(&self, name: &str, missing: &'static str) -> Result<&str, Refused> {
        self.get(name).ok_or(Refused::invalid_request(missing))
    }
}

impl<'a, T: Type + Send> ApiExtractor<'a> for Form<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let content = vec![MetaMediaType { content_type: MEDIA_TYPE, schema: T::schema_ref() }];
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let bytes = body::read(body).await?;
        if !body::is(request, MEDIA_TYPE) || !is_utf8(request) {
            return Err(Refused::invalid_request("the body must be application/x-www-form-urlencoded in UTF-8").into());
        }
        let fields = form::parse(&bytes).map_err(Refused::from)?;
        Ok(Self { fields, described: PhantomData })
    }
}

/// Whether the body says that it is UTF-8, or nothing about it.
fn is_utf8(request: &Request) -> bool {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let parameters = value.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let mut charsets = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    charsets.all(|(_, charset)| charset.trim().trim_matches('"').eq_ignore_ascii_case("utf-8"))
}
