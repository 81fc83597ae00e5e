//! The main job: requests are answered, the purge runs, until told to stop.
//!
//! - this file: what runs beside the answering of requests, and the order in which all of it ends;
//! - `listen`, `connection`: from the socket to a request;
//! - `overdue`: connections that hold a place and do nothing with it.

mod connection;
mod listen;
mod overdue;

use std::{future::Future, io, sync::Arc};

use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    api::Front,
    app::App,
    error::Storage,
    maintenance::scheduler,
    telemetry,
    token::{changes, usage},
};

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
    listen::serve(listener, Front::new(&app), app.config.limits.max_connections, shutdown).await;
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
    Ok(())
}
