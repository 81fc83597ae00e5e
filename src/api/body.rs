//! Request bodies: JSON read strictly, with errors that name the field.

use entity::{BadScope, Scopes};
use poem::{
    Request, RequestBody,
    http::{StatusCode, header},
};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaMediaType, MetaRequest, Registry},
    types::Type,
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};

use super::problem::ApiError;

/// The body of an operation that documents JSON.
///
/// The framework's own JSON takes numbers for strings, ignores doubles, and says neither which field is wrong nor
/// whether it could not be read (400) or was refused (422). The schema is its own, the reading is serde's.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<'a, T: Type + DeserializeOwned + Send> ApiExtractor<'a> for Body<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(json_meta::<T>())
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let bytes = read(body).await?;
        if !is(request, "application/json") {
            return Err(unsupported("application/json").into());
        }
        Ok(Self(from_json(&bytes)?))
    }
}

/// The body of an operation that has nothing but optional fields: it may be left out altogether.
#[derive(Debug)]
pub struct OptionalBody<T>(pub T);

impl<'a, T: Type + DeserializeOwned + Default + Send> ApiExtractor<'a> for OptionalBody<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(MetaRequest { required: false, ..json_meta::<T>() })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let bytes = read(body).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        if !is(request, "application/json") {
            return Err(unsupported("application/json").into());
        }
        Ok(Self(from_json(&bytes)?))
    }
}

/// The body's bytes; how many there may be is limited before any handler runs.
pub async fn read(body: &mut RequestBody) -> Result<Vec<u8>, ApiError> {
    let unread = |_| ApiError::new(StatusCode::BAD_REQUEST, "The body did not arrive whole.");
    let body = body.take().map_err(unread)?;
    body.into_vec().await.map_err(unread)
}

/// What the document says of a JSON body.
pub fn json_meta<T: Type>() -> MetaRequest {
    MetaRequest {
        description: None,
        content: vec![MetaMediaType { content_type: "application/json", schema: T::schema_ref() }],
        required: true,
    }
}

/// Whether the request's body is of this media type, whatever its parameters.
pub fn is(request: &Request, media_type: &str) -> bool {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media_type)
}

/// The answer to a body of another media type.
pub fn unsupported(expected: &str) -> ApiError {
    ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("Content-Type must be {expected}."))
}

/// Reads JSON. What is not JSON, or not of the documented types, is 400; a field or a name that is not documented is 422.
pub fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // serde would take a list for an object whose members come in this order.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return Err(ApiError::field(StatusCode::BAD_REQUEST, "body", "must be an object"));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let field = error.path().to_string();
        let error = error.into_inner();
        if error.is_data() { wrong_data(&field, &error) } else { malformed(&error) }
    })?;
    reader.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

fn malformed(error: &serde_json::Error) -> ApiError {
    let detail = format!("The body is not JSON, from line {} column {}.", error.line(), error.column());
    ApiError::new(StatusCode::BAD_REQUEST, detail)
}

/// serde's texts tell what was expected, but some of them repeat what was sent, which may be a secret: only the part
/// that names fields and types is passed on.
fn wrong_data(path: &str, error: &serde_json::Error) -> ApiError {
    let text = error.to_string();
    let quoted = || text.split('`').nth(1).unwrap_or_default().to_owned();
    if text.starts_with("unknown field") {
        return ApiError::field(StatusCode::UNPROCESSABLE_ENTITY, quoted(), "is no field of this request");
    }
    if text.starts_with("missing field") {
        return ApiError::field(StatusCode::BAD_REQUEST, quoted(), "is missing");
    }
    if text.starts_with("duplicate field") {
        return ApiError::field(StatusCode::BAD_REQUEST, quoted(), "is there twice");
    }
    let status =
        if text.starts_with("unknown variant") { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
    let expected = text.rsplit_once("expected ").map_or("the documented type", |(_, expected)| expected);
    let expected = expected.split(" at line ").next().unwrap_or(expected);
    let field = if path == "." { "body" } else { path };
    ApiError::field(status, field, format!("must be {}", expected.replace('`', "")))
}

/// Reads an optional whole number. One beyond what fits is taken for the largest that does: out of range, not unreadable.
pub fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let number = Option::<serde_json::Number>::deserialize(deserializer)?;
    let whole = |number: &serde_json::Number| match (number.as_i64(), number.as_f64()) {
        (Some(whole), _) => Some(whole),
        #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, which is what is wanted")]
        (None, Some(float)) if float.fract() == 0.0 => Some(float as i64),
        (None, _) => None,
    };
    number.map(|number| whole(&number).ok_or_else(|| D::Error::custom("expected a whole number"))).transpose()
}

/// Reads scopes, naming the first that is none.
pub fn scopes(scopes: Vec<String>) -> Result<Scopes, ApiError> {
    let bad =
        |field: String, error: BadScope| ApiError::field(StatusCode::UNPROCESSABLE_ENTITY, field, error.to_string());
    for (index, scope) in scopes.iter().enumerate() {
        Scopes::collect([scope]).map_err(|error| bad(format!("scopes[{index}]"), error))?;
    }
    Scopes::collect(scopes).map_err(|error| bad("scopes".to_owned(), error))
}
