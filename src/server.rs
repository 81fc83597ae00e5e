//! The main job: requests are answered, the purge runs, until told to stop.

use std::{future::Future, io, sync::Arc, time::Duration};

use poem::{Server, listener::TcpAcceptor};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    api,
    app::App,
    error::Storage,
    maintenance::scheduler,
    telemetry,
    token::{changes, usage},
};

/// How long a request that is under way may take once the service was told to stop.
const DRAIN: Duration = Duration::from_secs(20);

/// Serves on a socket that the caller bound, until `shutdown` completes; then stops accepting, finishes what is in
/// flight and the purge's batch in hand, and closes the database.
pub async fn run(app: Arc<App>, listener: TcpListener, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let mut scheduler = scheduler::start(&app).await.map_err(io::Error::other)?;
    if let Err(error) = changes::look(&app).await {
        tracing::warn!(error = %Storage::from(error), "what changed lately cannot be seen yet");
    }
    let (looking, flushing) = (Arc::clone(&app), Arc::clone(&app));
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let flushing = tokio::spawn(async move { usage::keep_flushing(&flushing, &stopped).await });
    let mut background = JoinSet::new();
    background.spawn(async move { changes::keep_looking(&looking).await });
    background.spawn(telemetry::tidy());
    let acceptor = TcpAcceptor::from_tokio(listener)?;
    let served =
        Server::new_with_acceptor(acceptor).run_with_graceful_shutdown(api::routes(&app), shutdown, Some(DRAIN)).await;
    tracing::info!("stopping");
    if let Err(error) = scheduler.shutdown().await {
        tracing::warn!(%error, "the scheduler did not stop");
    }
    app.maintenance.stop().await;
    background.shutdown().await;
    stop.cancel();
    if let Err(error) = flushing.await {
        tracing::warn!(%error, "the last uses of tokens may not be recorded");
    }
    app.db.close().await;
    tracing::info!("stopped");
    served
}
