//! HTTP. The operations are listed in [`openapi::service`], the files in [`pages::routes`]. What a request means is
//! decided below, in [`crate::token`] and [`crate::account`].

pub mod auth;
pub mod basic;
pub mod body;
pub mod client_address;
pub mod django;
pub mod form;
mod front;
mod host;
pub mod json;
pub mod oauth;
pub mod openapi;
pub mod pages;
mod plain_json;
pub mod problem;
mod rate_limit;
pub mod service;
mod shell;
pub mod tags;
pub mod v1;

pub use front::Front;

use std::sync::Arc;

use poem::{
    Endpoint, EndpointExt, Response,
    middleware::{NormalizePath, TrailingSlash},
};

use crate::app::App;

/// Everything that is served.
pub fn routes(app: &Arc<App>) -> impl Endpoint<Output = Response> + use<> {
    let front = Arc::clone(app);
    rest(app).around(move |next, request| front::checks_first(next, Arc::clone(&front), request))
}

/// All of it but checks, which are answered ahead of this.
fn rest(app: &Arc<App>) -> impl Endpoint<Output = Response> + use<> {
    let routes = pages::routes().nest("/", openapi::service());
    let state = Arc::clone(app);
    routes
        .data(Arc::clone(app))
        .around(move |next, request| shell::shell(next, Arc::clone(&state), request))
        // Django's paths end in a slash, ours do not, and people type either: everything inside sees none.
        .with(NormalizePath::new(TrailingSlash::Trim))
}
