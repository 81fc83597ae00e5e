//! Pages for people, and what they load. All of it is in the binary: a page asks no server but this one.

use std::sync::LazyLock;

use poem::{
    Endpoint, EndpointExt, Request, Response, Route,
    http::{HeaderMap, StatusCode, header},
    handler,
    middleware::Compression,
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
        .at("/", docs_page)
        .at("/swagger-ui.js", swagger_js)
        .at("/swagger-ui.css", swagger_css)
        .with(Compression::new())
        .map_to_response()
}

#[handler]
pub fn index(request: &Request) -> Response {
    asset(request, "text/html; charset=utf-8", include_str!("index.html"))
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
