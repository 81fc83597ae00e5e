//! One connection: HTTP/1.1, one request after the other.

use std::{convert::Infallible, net::SocketAddr, pin::pin};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::overdue::Doing;
use crate::api::Front;

/// The longest head of a request, in bytes: proxies and browsers keep below 8 to 16 KiB.
const LONGEST_HEAD: usize = 64 * 1024;

/// Answers requests until the other side has no more, or, once `stopping`, until the one under way is answered.
pub(super) async fn answer(
    stream: TcpStream,
    peer: SocketAddr,
    front: &Front,
    doing: &Doing,
    stopping: &CancellationToken,
) {
    // An answer is written whole; to wait whether more comes would only hold it up.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection ended before it began");
        return;
    }
    let service = service_fn(|request| async move {
        doing.answers();
        let response = front.answer(request, peer).await;
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
