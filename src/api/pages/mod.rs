//! Pages for people, and what they load. All of it is in the binary: a page asks no server but this one.

use std::sync::LazyLock;

use poem::{
    Endpoint, EndpointExt, IntoResponse, Request, Response, Route, get, handler,
    http::{HeaderMap, StatusCode, header},
    middleware::Compression,
};
use poem_openapi::{
    ApiResponse, OpenApi,
    registry::{MetaResponses, Registry},
};
use sha2::{Digest, Sha256};

use super::openapi;

/// Scripts come from files of ours only; Swagger UI sets styles on elements, so those are allowed inline.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; font-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'";

/// The Swagger UI page and its files, compressed: the script alone is 1.4 MB.
pub fn docs() -> impl Endpoint<Output = Response> {
    Route::new()
        .at("/", get(docs_page))
        .at("/swagger-ui.js", get(swagger_js))
        .at("/swagger-ui.css", get(swagger_css))
        .with(Compression::new())
        .map_to_response()
}

/// The landing page. It is an undocumented operation because the router gives `/` to whoever has everything below it.
#[derive(Debug)]
pub struct LandingPage;

/// A response that the document does not describe.
pub struct Undocumented(Response);

#[OpenApi]
impl LandingPage {
    #[oai(path = "/", method = "get", hidden = true)]
    async fn index(&self, request: &Request) -> Undocumented {
        Undocumented(asset(request, "text/html; charset=utf-8", include_str!("index.html")))
    }
}

impl IntoResponse for Undocumented {
    fn into_response(self) -> Response {
        self.0
    }
}

impl ApiResponse for Undocumented {
    fn meta() -> MetaResponses {
        MetaResponses { responses: Vec::new() }
    }

    fn register(_registry: &mut Registry) {}
}

#[handler]
pub fn index_js(request: &Request) -> Response {
    asset(request, "text/javascript; charset=utf-8", include_str!("index.js"))
}

#[handler]
pub fn docs_js(request: &Request) -> Response {
    asset(request, "text/javascript; charset=utf-8", include_str!("docs.js"))
}

#[handler]
pub fn site_css(request: &Request) -> Response {
    asset(request, "text/css; charset=utf-8", include_str!("site.css"))
}

#[handler]
pub fn favicon_svg(request: &Request) -> Response {
    asset(request, "image/svg+xml", include_str!("favicon.svg"))
}

/// Browsers ask for it unasked.
#[handler]
pub fn no_favicon() -> StatusCode {
    StatusCode::NO_CONTENT
}

#[handler]
pub fn openapi_json(request: &Request) -> Response {
    asset(request, "application/json", openapi::json())
}

#[handler]
pub fn openapi_yaml(request: &Request) -> Response {
    asset(request, "application/yaml", openapi::yaml())
}

#[handler]
fn docs_page(request: &Request) -> Response {
    asset(request, "text/html; charset=utf-8", include_str!("docs.html"))
}

#[handler]
fn swagger_js(request: &Request) -> Response {
    asset(request, "text/javascript; charset=utf-8", swagger_part("<script charset=\"UTF-8\">", "</script>\n</head>"))
}

#[handler]
fn swagger_css(request: &Request) -> Response {
    asset(request, "text/css; charset=utf-8", swagger_part("<style charset=\"UTF-8\">", "</style>"))
}

/// A part of the page that poem-openapi carries Swagger UI in: taken out of it, scripts can be files, which the content
/// security policy asks for.
fn swagger_part(start: &str, end: &str) -> &'static str {
    static PAGE: LazyLock<String> = LazyLock::new(|| openapi::service().swagger_ui_html());
    let (_, rest) = PAGE.split_once(start).unwrap_or_default();
    rest.split_once(end).map_or("", |(part, _)| part)
}

/// A file, or 304 if the browser has this very one.
fn asset(request: &Request, content_type: &str, text: &'static str) -> Response {
    let tag = format!("\"{}\"", short_hash(text));
    let response = Response::builder()
        .header(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY)
        .header(header::CACHE_CONTROL, "no-cache")
        .header(header::REFERRER_POLICY, "no-referrer")
        .header(header::ETAG, &tag);
    if has(request.headers(), &tag) {
        return response.status(StatusCode::NOT_MODIFIED).finish();
    }
    response.content_type(content_type).body(text)
}

/// Compression may have marked the tag as weak on its way out.
fn has(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    known.split(',').any(|known| known.trim().trim_start_matches("W/") == tag)
}

fn short_hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
