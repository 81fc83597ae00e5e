//! Taking connections: as many as are allowed, none that only hold a place, and to an end when the service stops.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{connection, overdue::Connections, tls::Tls};
use crate::api::Front;

/// How long those may take once the service was told to stop who are not being answered: who sends half a request, or does not
/// read an answer.
const LINGER: Duration = Duration::from_secs(2);
/// How long a request that is under way may take after that.
const DRAIN: Duration = Duration::from_secs(18);
/// How long to wait when no connection can be taken, as when the process is out of file descriptors.
const BACK_OFF: Duration = Duration::from_millis(200);

/// How much of an answer the system takes off our hands, in bytes; it doubles that. Left to itself it takes megabytes: a thousand
/// clients that ask for a large file and do not read it would use up all the memory that the system has for TCP.
const SEND_BUFFER: u32 = 64 * 1024;
/// How many connections the system holds that have not been taken yet.
const BACKLOG: u32 = 1024;

/// A socket that listens, for `serve`; connections have from it what is set here.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // So that one can be started where another has just ended.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Answers on a socket until `stop` completes; then takes no more, and lets those under way finish.
///
/// At most `most` connections are open at a time; others wait in the socket's queue until one ends.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    front: Front,
    most: usize,
    stop: impl Future<Output = ()>,
) {
    let (front, slots) = (Arc::new(front), Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))));
    let (connections, under_way, stopping) = (Connections::default(), TaskTracker::new(), CancellationToken::new());
    let taking = async {
        while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
            let (stream, peer) = accept(&listener).await;
            let (tls, front) = (tls.clone(), Arc::clone(&front));
            let (stopping, doing) = (stopping.clone(), connections.begin());
            let answering = {
                let doing = doing.clone();
                under_way.spawn(async move {
                    connection::answer(stream, peer, tls.as_deref(), &front, &doing, &stopping).await;
                    drop(slot);
                })
            };
            connections.watch(doing, answering.abort_handle());
        }
    };
    tokio::select! {
        () = taking => {}
        () = connections.keep_closing_overdue() => {}
        () = stop => {}
    }
    // Whoever comes from now on is refused at once, and may ask another replica.
    drop(listener);
    stopping.cancel();
    under_way.close();
    if timeout(LINGER, under_way.wait()).await.is_ok() {
        return;
    }
    connections.close_waiting();
    if timeout(DRAIN, under_way.wait()).await.is_err() {
        tracing::warn!(connections = under_way.len(), "requests were under way for too long, and are cut off");
        connections.close_all();
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // The other side was gone before its turn came.
            Err(error) if is_of_the_peer(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be taken at the moment");
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};

    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
