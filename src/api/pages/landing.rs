//! The landing page, at `/`.

use poem::{IntoResponse, Request, Response};
use poem_openapi::{
    ApiResponse, OpenApi,
    registry::{MetaResponses, Registry},
};

use super::asset::{HTML, asset};

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
