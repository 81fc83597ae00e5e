//! Pages for people, and what they load. All of it is in the binary: a page asks no server but this one.

use std::sync::LazyLock;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use poem::{
    Endpoint, EndpointExt, IntoResponse, Request, Response, Route, RouteMethod,
    endpoint::make_sync,
    get,
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

const HTML: &str = "text/html; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";

/// Every file but the landing page, which is [`LandingPage`].
pub fn routes() -> Route {
    Route::new()
        .at("/openapi.json", file("application/json", openapi::json))
        .at("/openapi.yaml", file("application/yaml", openapi::yaml))
        .nest("/docs", docs())
        .at("/docs.js", file(JAVASCRIPT, || include_str!("docs.js")))
        .at("/index.js", file(JAVASCRIPT, || include_str!("index.js")))
        .at("/site.css", file(CSS, || include_str!("site.css")))
        .at("/favicon.svg", file("image/svg+xml", || include_str!("favicon.svg")))
        // Browsers ask for this one unasked.
        .at("/favicon.ico", get(make_sync(|_| StatusCode::NO_CONTENT)))
}

/// The Swagger UI page and its files, compressed: the script alone is 1.4 MB.
fn docs() -> impl Endpoint<Output = Response> {
    Route::new()
        .at("/", file(HTML, || include_str!("docs.html")))
        .at("/swagger-ui.js", file(JAVASCRIPT, || swagger_part("<script charset=\"UTF-8\">", "</script>\n</head>")))
        .at("/swagger-ui.css", file(CSS, || swagger_part("<style charset=\"UTF-8\">", "</style>")))
        .with(Compression::new())
        .map_to_response()
}

fn file(content_type: &'static str, text: fn() -> &'static str) -> RouteMethod {
    get(make_sync(move |request| asset(&request, content_type, text())))
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
        Undocumented(asset(request, HTML, include_str!("index.html")))
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
    BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(text.as_bytes())[..12])
}
