//! The landing page, at `/`.

use std::sync::LazyLock;

use poem::{IntoResponse, Request, Response};
use poem_openapi::{
    ApiResponse, OpenApi,
    registry::{MetaResponses, Registry},
};

use super::asset::{Asset, HTML};

/// The landing page. It is an undocumented operation because the router gives `/` to whoever has everything below it.
#[derive(Debug)]
pub struct LandingPage;

/// A response that the document does not describe.
pub struct Undocumented(Response);

#[OpenApi]
impl LandingPage {
    #[oai(path = "/", method = "get", hidden = true)]
    async fn index(&self, request: &Request) -> Undocumented {
        static PAGE: LazyLock<Asset> = LazyLock::new(|| Asset::new(HTML, include_str!("index.html")));
        Undocumented(PAGE.answer(request))
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
