//! What the server asks: checks are answered here, ahead of all routing, and the rest by the framework.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use http_body_util::{Either, Full, combinators::BoxBody};
use hyper::body::Incoming;
use poem::{
    Endpoint, EndpointExt, Request, Response,
    endpoint::BoxEndpoint,
    http::{self, uri::Scheme},
    web::{LocalAddr, RemoteAddr},
};

use super::{client_address, host, shell, v1::check::is_check};
use crate::app::App;

/// The body of an answer: at hand whole, or the framework's.
type AnswerBody = Either<Full<Bytes>, BoxBody<Bytes, std::io::Error>>;

/// Everything that is served.
pub struct Front {
    app: Arc<App>,
    rest: BoxEndpoint<'static, Response>,
}

impl Front {
    /// For a server that listens.
    pub fn new(app: &Arc<App>) -> Self {
        Self { app: Arc::clone(app), rest: super::rest(app).boxed() }
    }

    /// Whether the service was told to stop.
    pub fn is_stopping(&self) -> bool {
        self.app.stopping.load(Ordering::Relaxed)
    }

    /// Answers a request that came over a connection.
    ///
    /// A check is not made a request of the framework's before: that would take longer than the check.
    pub async fn answer(&self, request: http::Request<Incoming>, peer: SocketAddr) -> http::Response<AnswerBody> {
        let asked = shell::Asked {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            peer: peer.ip().to_canonical(),
        };
        if let Err(error) = host::check(request.version(), request.headers()) {
            shell::refused(&self.app, asked, &error).map(|body| Either::Left(Full::new(body)))
        } else if is_check(request.uri().path()) {
            shell::checked(&self.app, asked).await.map(|body| Either::Left(Full::new(body)))
        } else {
            // In a box, so that a check does not carry the room that everything else takes.
            Box::pin(self.ask_framework(request, peer)).await.map(Either::Right)
        }
    }

    async fn ask_framework(
        &self,
        request: http::Request<Incoming>,
        peer: SocketAddr,
    ) -> http::Response<BoxBody<Bytes, std::io::Error>> {
        let addresses = (LocalAddr(self.app.config.listen.into()), RemoteAddr(peer.into()));
        let request = Request::from((request, addresses.0, addresses.1, Scheme::HTTP));
        self.rest.get_response(request).await.into()
    }
}

/// The same for a request that the framework brings, where nobody listens: in another program, or in a test.
pub(super) async fn checks_first<E>(next: Arc<E>, app: Arc<App>, request: Request) -> poem::Result<Response>
where
    E: Endpoint<Output = Response>,
{
    if !is_check(request.uri().path()) {
        return next.call(request).await;
    }
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    let asked = shell::Asked { method, uri, headers, peer: client_address::peer(&request) };
    Ok(of_framework(shell::checked(&app, asked).await))
}

/// The same answer as the framework has it.
pub(super) fn of_framework(answer: http::Response<Bytes>) -> Response {
    let (parts, body) = answer.into_parts();
    let mut response = Response::default();
    response.set_status(parts.status);
    *response.headers_mut() = parts.headers;
    response.set_body(body);
    response
}

impl std::fmt::Debug for Front {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Front(..)")
    }
}
