//! The main job: requests are answered, the purge runs, until told to stop.
//!
//! - this file: the order in which all of it begins and ends;
//! - `background`: what runs beside the answering of requests, whoever answers them;
//! - `listen`, `connection`: from the socket to a request;
//! - `descriptors`: how many connections the system lets us have;
//! - `overdue`: connections that hold a place and do nothing with it;
//! - `tls`: the certificate, and the same anew when its file changes.

mod background;
mod connection;
mod descriptors;
mod listen;
mod overdue;
pub mod tls;

use std::{
    future::Future,
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::net::TcpListener;

pub use background::Background;
pub use listen::bind;

use crate::{api::Front, app::App, server::tls::Tls};

/// Serves on a socket that the caller bound, in TLS if there is a certificate, until `shutdown` completes; then stops
/// accepting, finishes what is in flight and the purge's batch in hand, and closes the database.
///
/// `shutdown` yields for how long that is announced first: requests are answered as before, but `/readyz` says 503 and every
/// answer asks for another connection. Who hears of it in that time goes elsewhere, and notices nothing of the rest.
pub async fn run(
    app: Arc<App>,
    listener: TcpListener,
    tls: Option<Tls>,
    shutdown: impl Future<Output = Duration>,
) -> io::Result<()> {
    let background = Background::start(&app).await?;
    let most = descriptors::connections(app.config.limits.max_connections);
    let tls = tls.map(Arc::new);
    let looking = tls.clone().map(|tls| {
        let clock = app.clock.clone();
        tokio::spawn(async move { tls.keep_looking(&clock).await })
    });
    let stop = async {
        let announced = shutdown.await;
        tracing::info!(?announced, "stopping");
        app.stopping.store(true, Ordering::Relaxed);
        tokio::time::sleep(announced).await;
    };
    listen::serve(listener, tls, Front::new(&app), most, stop).await;
    if let Some(looking) = looking {
        looking.abort();
    }
    background.stop().await;
    app.db.close().await;
    tracing::info!("stopped");
    Ok(())
}
