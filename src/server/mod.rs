//! The main job: requests are answered, the purge runs, until told to stop.
//!
//! - this file: the order in which all of it begins and ends;
//! - `background`: what runs beside the answering of requests, whoever answers them;
//! - `listen`, `connection`: from the socket to a request;
//! - `overdue`: connections that hold a place and do nothing with it.

mod background;
mod connection;
mod listen;
mod overdue;

use std::{future::Future, io, sync::Arc};

use tokio::net::TcpListener;

pub use background::Background;

use crate::{api::Front, app::App};

/// Serves on a socket that the caller bound, until `shutdown` completes; then stops accepting, finishes what is in
/// flight and the purge's batch in hand, and closes the database.
pub async fn run(app: Arc<App>, listener: TcpListener, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let background = Background::start(&app).await?;
    listen::serve(listener, Front::new(&app), app.config.limits.max_connections, shutdown).await;
    tracing::info!("stopping");
    background.stop().await;
    app.db.close().await;
    tracing::info!("stopped");
    Ok(())
}
