//! HTTP: the routes on one page. What a request means is decided below, in [`crate::token`] and [`crate::account`].

pub mod auth;
pub mod body;
pub mod client_address;
pub mod django;
pub mod form;
pub mod json;
pub mod openapi;
pub mod pages;
pub mod problem;
pub mod service;
mod shell;
pub mod tags;
pub mod v1;

use std::sync::Arc;

use poem::{
    Endpoint, EndpointExt, Response, Route, get,
    middleware::{NormalizePath, TrailingSlash},
};

use crate::app::App;

/// Everything that is served.
pub fn routes(app: &Arc<App>) -> impl Endpoint<Output = Response> + use<> {
    let routes = Route::new()
        .nest("/", openapi::service())
        .at("/openapi.json", get(pages::openapi_json))
        .at("/openapi.yaml", get(pages::openapi_yaml))
        .nest("/docs", pages::docs())
        .at("/index.js", get(pages::index_js))
        .at("/docs.js", get(pages::docs_js))
        .at("/site.css", get(pages::site_css))
        .at("/favicon.svg", get(pages::favicon_svg))
        .at("/favicon.ico", get(pages::no_favicon));
    let state = Arc::clone(app);
    routes
        .data(Arc::clone(app))
        // Django's paths end in a slash, ours do not, and people type either.
        .with(NormalizePath::new(TrailingSlash::Trim))
        .around(move |next, request| shell::shell(next, Arc::clone(&state), request))
}
