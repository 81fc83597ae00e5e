//! One connection: HTTP/1.1, one request after the other, in TLS or not.

use std::{convert::Infallible, net::SocketAddr, pin::pin};

use hyper::{
    header::{CONNECTION, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;

use super::{overdue::Doing, tls::Tls};
use crate::api::Front;

/// The longest head of a request, in bytes: proxies and browsers keep below 8 to 16 KiB.
const LONGEST_HEAD: usize = 64 * 1024;

/// Answers requests until the other side has no more, or, once `stopping`, until the one under way is answered.
pub(super) async fn answer(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<&Tls>,
    front: &Front,
    doing: &Doing,
    stopping: &CancellationToken,
) {
    // An answer is written whole; to wait whether more comes would only hold it up.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection ended before it began");
        return;
    }
    match tls {
        None => answer_over(stream, peer, front, doing, stopping).await,
        // In a box, so that a connection without TLS does not carry the room that TLS takes.
        Some(tls) => Box::pin(answer_in_tls(stream, peer, tls, front, doing, stopping)).await,
    }
}

async fn answer_in_tls(
    stream: TcpStream,
    peer: SocketAddr,
    tls: &Tls,
    front: &Front,
    doing: &Doing,
    stopping: &CancellationToken,
) {
    let accepted = tokio::select! {
        accepted = tls.accept(stream) => accepted,
        // No request is under way yet.
        () = stopping.cancelled() => return,
    };
    match accepted {
        Ok(stream) => answer_over(stream, peer, front, doing, stopping).await,
        Err(error) => tracing::debug!(%error, %peer, "no TLS with who connected"),
    }
}

async fn answer_over(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: SocketAddr,
    front: &Front,
    doing: &Doing,
    stopping: &CancellationToken,
) {
    let service = service_fn(|request| async move {
        doing.answers();
        let mut response = front.answer(request, peer).await;
        if front.is_stopping() {
            // Whoever sends the next request over this connection might find it closed.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        doing.waits();
        Ok::<_, Infallible>(response)
    });
    let connection = http1::Builder::new().max_buf_size(LONGEST_HEAD).serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "a connection broke off");
    }
}
