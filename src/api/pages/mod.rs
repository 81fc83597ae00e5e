//! Pages for people, and what they load. All of it is in the binary: a page asks no server but this one.

mod asset;
pub mod landing;

use std::sync::LazyLock;

use poem::{Route, RouteMethod, endpoint::make_sync, get, http::StatusCode};

use super::openapi;
use asset::{Asset, HTML};

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";

/// Every file but the landing page, which is [`landing`].
pub fn routes() -> Route {
    Route::new()
        .at("/openapi.json", file("application/json", openapi::json))
        .at("/openapi.yaml", file("application/yaml", openapi::yaml))
        .nest("/docs", docs())
        .at("/docs.js", file(JAVASCRIPT, || include_str!("docs.js")))
        .at("/docs-access.js", file(JAVASCRIPT, || include_str!("docs-access.js")))
        .nest("/console", console())
        .at("/console.js", file(JAVASCRIPT, || include_str!("console.js")))
        .at("/console-charts.js", file(JAVASCRIPT, || include_str!("console-charts.js")))
        .at("/console-rows.js", file(JAVASCRIPT, || include_str!("console-rows.js")))
        .at("/console.css", file(CSS, || include_str!("console.css")))
        .at("/sign-in.js", file(JAVASCRIPT, || include_str!("sign-in.js")))
        .at("/text.js", file(JAVASCRIPT, || include_str!("text.js")))
        .at("/index.js", file(JAVASCRIPT, || include_str!("index.js")))
        .at("/site.css", file(CSS, || include_str!("site.css")))
        .at("/favicon.svg", file("image/svg+xml", || include_str!("favicon.svg")))
        // Browsers ask for this one unasked.
        .at("/favicon.ico", get(make_sync(|_| StatusCode::NO_CONTENT)))
}

/// The Swagger UI page and its files: the script alone is 1.4 MB.
fn docs() -> Route {
    Route::new()
        .at("/", file(HTML, || include_str!("docs.html")))
        .at("/swagger-ui.js", file(JAVASCRIPT, || swagger_part("<script charset=\"UTF-8\">", "</script>\n</head>")))
        .at("/swagger-ui.css", file(CSS, || swagger_part("<style charset=\"UTF-8\">", "</style>")))
}

/// The console and the library that draws its charts. Its licence goes where it goes.
fn console() -> Route {
    const CHARTS: &str =
        concat!("/*!\n", include_str!("vendor/uplot.LICENSE"), "*/\n", include_str!("vendor/uplot.js"));
    Route::new()
        .at("/", file(HTML, || include_str!("console.html")))
        .at("/uplot.js", file(JAVASCRIPT, || CHARTS))
        .at("/uplot.css", file(CSS, || include_str!("vendor/uplot.css")))
}

fn file(content_type: &'static str, text: fn() -> &'static str) -> RouteMethod {
    let file = LazyLock::new(move || Asset::new(content_type, text()));
    get(make_sync(move |request| file.answer(&request)))
}

/// A part of the page that poem-openapi carries Swagger UI in: taken out of it, scripts can be files, which the content
/// security policy asks for.
fn swagger_part(start: &str, end: &str) -> &'static str {
    static PAGE: LazyLock<String> = LazyLock::new(|| openapi::service().swagger_ui_html());
    let (_, rest) = PAGE.split_once(start).unwrap_or_default();
    rest.split_once(end).map_or("", |(part, _)| part)
}
