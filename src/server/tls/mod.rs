//! TLS: the certificate and its key, and the same anew when their files change.
//!
//! - this file: what is served, and looking after the files;
//! - `files`: from two files to what can be served, or the reason why not;
//! - `not_after`: when a certificate ends.

mod files;
mod not_after;

use std::{
    io,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use entity::Timestamp;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig, server::TlsStream};

use self::files::{Files, Unusable};
use crate::{clock::Clock, config, telemetry};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// The certificate that is served, with its key.
pub struct Tls {
    settings: config::Tls,
    serving: RwLock<Arc<ServerConfig>>,
    first: Found,
}

/// What the files were: their digest, or why they could not be read.
type Found = Result<[u8; 32], String>;

impl Tls {
    /// Reads the files that are set; none where none are.
    pub async fn load(settings: &config::Tls, now: Timestamp) -> Result<Option<Self>, Unusable> {
        if !settings.is_on() {
            return Ok(None);
        }
        let files = Files::read(settings).await?;
        let serving = RwLock::new(Arc::new(files.to_config(settings)?));
        let tls = Self { settings: settings.clone(), serving, first: Ok(files.digest()) };
        tls.tell(&files, now);
        Ok(Some(tls))
    }

    /// Shakes hands with who connected.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let serving = Arc::clone(&self.serving.read().unwrap_or_else(PoisonError::into_inner));
        TlsAcceptor::from(serving).accept(stream).await
    }

    /// Looks at the files again and again, for as long as it is polled: new connections get what is there now, those that are
    /// open keep what they have. What cannot be served is refused, and said once.
    pub(super) async fn keep_looking(&self, clock: &Clock) {
        let (mut tried, mut before) = (self.first.clone(), self.first.clone());
        loop {
            tokio::time::sleep(LOOK).await;
            let files = Files::read(&self.settings).await;
            let found = files.as_ref().map(Files::digest).map_err(ToString::to_string);
            // Two files cannot be replaced at once: what is the same as a look ago is whole.
            if found == before && found != tried {
                tried.clone_from(&found);
                match files.and_then(|files| self.replace(&files, clock.now())) {
                    Ok(()) => {}
                    Err(error) => tracing::error!(%error, "the certificate was not replaced, the old one is served"),
                }
            }
            before = found;
        }
    }

    fn replace(&self, files: &Files, now: Timestamp) -> Result<(), Unusable> {
        let config = Arc::new(files.to_config(&self.settings)?);
        *self.serving.write().unwrap_or_else(PoisonError::into_inner) = config;
        self.tell(files, now);
        Ok(())
    }

    fn tell(&self, files: &Files, now: Timestamp) {
        let config::Tls { certificate, key } = &self.settings;
        let ends = files.not_after();
        tracing::info!(certificate, ends = ends.map(|ends| ends.text().as_str().to_owned()), "serving TLS");
        if files.others_read_the_key {
            tracing::warn!(key, "tls.key may be read by every user of this machine: chmod o-r");
        }
        if let Some(ends) = ends {
            telemetry::certificate(ends);
            if ends <= now {
                tracing::warn!(certificate, "tls.certificate has expired: clients will refuse it");
            }
        }
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("settings", &self.settings).finish_non_exhaustive()
    }
}
