//! From two files to what can be served, or the reason why not.

use std::{io, sync::Arc};

use entity::Timestamp;
use sha2::{Digest, Sha256};
use tokio_rustls::rustls::{
    self, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use zeroize::Zeroizing;

use super::not_after::not_after;
use crate::config::Tls;

/// Why a certificate and its key cannot be served: which key of the configuration, which file, and what is wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// A file is not there, or may not be read.
    #[error("{key} = {path:?} cannot be read: {error}")]
    Unreadable {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        path: String,
        /// What the system said.
        error: io::Error,
    },
    /// There is no certificate in it.
    #[error("tls.certificate = {0:?} holds no certificate in PEM, between BEGIN CERTIFICATE and END CERTIFICATE")]
    NoCertificate(String),
    /// What is between two such lines is no certificate.
    #[error("tls.certificate = {path:?} holds something that is no certificate: {error}")]
    BadCertificate {
        /// The file.
        path: String,
        /// What is wrong with it.
        error: rustls::Error,
    },
    /// There is no key in it.
    #[error(
        "tls.key = {0:?} holds no private key in PEM that needs no password, such as between BEGIN PRIVATE KEY and END"
    )]
    NoKey(String),
    /// The key is of a kind or size that is not served, or broken.
    #[error("tls.key = {path:?} holds a private key that cannot be used: {error}")]
    BadKey {
        /// The file.
        path: String,
        /// What is wrong with it.
        error: rustls::Error,
    },
    /// Each is right, but not with the other.
    #[error("tls.key = {key:?} is not the key of the first certificate in tls.certificate = {certificate:?}")]
    NoPair {
        /// The file of the key.
        key: String,
        /// That of the certificate.
        certificate: String,
    },
}

/// What is in the two files.
pub(super) struct Files {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    pub(super) others_read_the_key: bool,
}

impl Files {
    pub(super) async fn read(settings: &Tls) -> Result<Self, Unusable> {
        let certificate = read("tls.certificate", &settings.certificate).await?;
        let key = read("tls.key", &settings.key).await?.into();
        Ok(Self { certificate, key, others_read_the_key: others_read(&settings.key).await })
    }

    pub(super) fn digest(&self) -> [u8; 32] {
        let [certificate, key] = [&self.certificate, &*self.key].map(Sha256::digest);
        Sha256::new().chain_update(certificate).chain_update(key).finalize().into()
    }

    /// When the first certificate ends, if it says so in a way that is understood.
    pub(super) fn not_after(&self) -> Option<Timestamp> {
        let first = CertificateDer::from_pem_slice(&self.certificate).ok()?;
        not_after(&first)
    }

    /// TLS 1.2 and 1.3, and HTTP/1.1 over them.
    pub(super) fn to_config(&self, settings: &Tls) -> Result<ServerConfig, Unusable> {
        let chain = CertificateDer::pem_slice_iter(&self.certificate).collect::<Result<Vec<_>, _>>();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or_else(|| Unusable::NoCertificate(settings.certificate.clone()))?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| Unusable::NoKey(settings.key.clone()))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
        let mut config = config.map_err(|error| explain(settings, error))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

async fn read(key: &'static str, path: &str) -> Result<Vec<u8>, Unusable> {
    tokio::fs::read(path).await.map_err(|error| Unusable::Unreadable { key, path: path.to_owned(), error })
}

#[cfg(unix)]
async fn others_read(path: &str) -> bool {
    use std::os::unix::fs::PermissionsExt;

    tokio::fs::metadata(path).await.is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
async fn others_read(_: &str) -> bool {
    false
}

fn explain(settings: &Tls, error: rustls::Error) -> Unusable {
    let Tls { certificate, key } = settings.clone();
    #[expect(clippy::wildcard_enum_match_arm, reason = "of dozens of errors two have nothing to do with the key")]
    match error {
        rustls::Error::InconsistentKeys(_) => Unusable::NoPair { key, certificate },
        error @ rustls::Error::InvalidCertificate(_) => Unusable::BadCertificate { path: certificate, error },
        error => Unusable::BadKey { path: key, error },
    }
}
