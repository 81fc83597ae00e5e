//! A Daypass inside another program.

use std::{io, sync::Arc};

use poem::{Endpoint, Response};

use crate::{
    api,
    app::{App, OpenError},
    clock::Clock,
    config::Config,
    db,
    error::Storage,
    server::Background,
};

/// A whole Daypass without a listener: it checks, looks for changes made elsewhere, writes uses and runs maintenance, as any
/// replica does. Its database may be its own, or that of others that run at the same time.
///
/// It logs by `tracing` (target `daypass`) and counts by `metrics`, to whatever the program installed for either.
#[derive(Debug)]
pub struct Embedded {
    app: Arc<App>,
    background: Background,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The schema could not be brought up to date.
    #[error("cannot bring the database's schema up to date: {0}")]
    Schema(Storage),
    /// What runs in the background could not be started.
    #[error("cannot start what runs in the background: {0}")]
    Background(io::Error),
}

impl Embedded {
    /// Opens the database, brings its schema up to date, and starts what runs in the background. It needs a tokio runtime.
    ///
    /// The settings are those of the program `daypass`, which [`crate::config::load()`] finds and checks. Of what is
    /// about listening and logging, only `listen` matters here: without `public_url` it makes the OAuth issuer.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let app = App::open(config, Clock::System).await?;
        db::migrate::up(&app.db).await.map_err(|error| StartError::Schema(error.into()))?;
        let background = Background::start(&app).await.map_err(StartError::Background)?;
        Ok(Self { app, background })
    }

    /// What it consists of, for whoever wants more of it than checks.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Everything that `daypass serve` answers, to be mounted at the root (`Route::nest("/", …)`): logging in, the `/v1`
    /// operations, the pages. Routes of one's own beside it win.
    pub fn routes(&self) -> impl Endpoint<Output = Response> + use<> {
        api::routes(&self.app)
    }

    /// Ends it: finishes the batch that maintenance has in hand, writes the last uses, and closes the database. To be called
    /// when requests are answered no more; whatever asks later gets a 503.
    pub async fn stop(self) {
        self.background.stop().await;
        self.app.db.close().await;
    }
}
