//! Asking a Daypass elsewhere (RFC 7662).
//!
//! - this file: what can be set, and one question over HTTP;
//! - `answer`: what is believed of the answer;
//! - `memory`: how long.

mod answer;
mod memory;

use std::{error::Error as StdError, fmt, io, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use poem::http::{self, HeaderValue, StatusCode, Uri, header};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio::sync::Semaphore;
use url::{Host, Url, form_urlencoded};
use zeroize::Zeroizing;

use self::{answer::Answer, memory::Memory};
use super::Caller;
use crate::{api::problem::ApiError, clock::Clock, error::Refusal};

/// How a [`Remote`] asks, and how long it remembers.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a token that works is taken to work, counted from the question: a revocation is seen within this (or within
    /// `timeout`, if that is longer, by those who share an answer that is on its way). Never beyond the token's `exp`. Zero asks
    /// on every request.
    pub keep: Duration,
    /// How long one that does not work is taken not to, if that is less.
    pub keep_inactive: Duration,
    /// How many answers are remembered; of one at least, for those who share it.
    pub entries: usize,
    /// How long a question may take, all in all; after that the answer is 503.
    pub timeout: Duration,
    /// Whether tokens and the client secret may travel in plain HTTP (`http://`) to another machine.
    pub insecure_plain_http: bool,
    /// Where the time comes from.
    pub clock: Clock,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keep: Duration::from_secs(5),
            keep_inactive: Duration::from_secs(1),
            entries: 10_000,
            timeout: Duration::from_secs(2),
            insecure_plain_http: false,
            clock: Clock::System,
        }
    }
}

/// A Daypass elsewhere, asked over HTTP or HTTPS with the credentials of a client that may introspect (its scopes hold
/// `daypass:introspect`).
///
/// Cloning it is cheap, and clones share what they remember. Certificates are judged by the system's roots (`SSL_CERT_FILE` names
/// others). Redirects are not followed, proxies not used.
#[derive(Clone)]
pub struct Remote(Arc<Inner>);

struct Inner {
    endpoint: Uri,
    /// Marked as sensitive, so that nothing prints it.
    credentials: HeaderValue,
    timeout: Duration,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    places: Semaphore,
    memory: Memory,
}

/// Why there is no [`Remote`].
#[derive(Debug, thiserror::Error)]
pub enum BadRemote {
    /// The address is none.
    #[error("the address of Daypass must read https://host or https://host/path, and hold no user, query or fragment")]
    Address,
    /// Tokens and the client secret would be there to be read on the way.
    #[error("http:// to another machine carries tokens in the clear; use https://, or set insecure_plain_http")]
    PlainHttp,
    /// The credentials cannot be sent.
    #[error("a client id and a client secret are letters and digits only, and not empty")]
    Credentials,
    /// There is nothing to judge certificates by.
    #[error("the system's root certificates cannot be used: {0}")]
    Roots(io::Error),
}

/// Connections are given up before Daypass does so (after 75 s).
const IDLE: Duration = Duration::from_secs(30);
/// How many questions are on their way at once; others wait, within their `timeout`.
const AT_ONCE: usize = 128;
/// Longer than any answer; and than any token, which is refused unasked.
const LONGEST_ANSWER: usize = 64 * 1024;
const LONGEST_TOKEN: usize = 4096;

impl Remote {
    /// For the Daypass at this address: its `public_url`, below which is `/oauth/introspect`. It does not ask yet.
    pub fn new(url: &str, client_id: &str, client_secret: &str, settings: &Settings) -> Result<Self, BadRemote> {
        let (endpoint, plain) = endpoint(url)?;
        if plain == Plain::ToOthers && !settings.insecure_plain_http {
            return Err(BadRemote::PlainHttp);
        }
        let connector = connector(plain)?;
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        Ok(Self(Arc::new(Inner {
            endpoint,
            credentials: basic(client_id, client_secret)?,
            timeout: settings.timeout,
            client,
            places: Semaphore::new(AT_ONCE),
            memory: Memory::new(settings),
        })))
    }

    pub(super) async fn find(&self, token: &str) -> Result<Caller, ApiError> {
        if token.len() > LONGEST_TOKEN {
            return Err(ApiError::inactive_token());
        }
        match self.0.memory.find(token, || self.0.ask(token)).await {
            Some(Answer::Active(caller)) => Ok(Caller::clone(&caller)),
            Some(Answer::Inactive) => Err(ApiError::inactive_token()),
            Some(Answer::Refresh) => Err(ApiError::invalid_token(Refusal::Refresh)),
            None => {
                Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "Tokens cannot be checked now; see Retry-After.")
                    .retry_after(Duration::from_secs(1)))
            }
        }
    }
}

impl Inner {
    /// Nothing if it cannot be found out; why goes to the log.
    async fn ask(&self, token: &str) -> Option<Answer> {
        let asked = tokio::time::timeout(self.timeout, self.question(token)).await;
        match asked.unwrap_or_else(|_| Err("it took too long".to_owned())) {
            Ok(answer) => Some(answer),
            Err(cause) => {
                tracing::error!(%cause, "Daypass did not say whether a token works");
                None
            }
        }
    }

    async fn question(&self, token: &str) -> Result<Answer, String> {
        let _place = self.places.acquire().await.map_err(|error| error.to_string())?;
        let form = form_urlencoded::Serializer::new(String::new()).append_pair("token", token).finish();
        let mut request = http::Request::post(&self.endpoint)
            .header(header::AUTHORIZATION, &self.credentials)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json")
            .body(Full::from(form))
            .map_err(|error| error.to_string())?;
        *request.version_mut() = http::Version::HTTP_11;
        let response = self.client.request(request).await.map_err(|error| in_words(&error))?;
        match response.status() {
            StatusCode::OK => {}
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                return Err(format!(
                    "it answered {status} to this service: are its client id and secret right, and does \
                                    the client have the scope daypass:introspect?"
                ));
            }
            status => return Err(format!("it answered {status}")),
        }
        if !response.headers().get(header::CONTENT_TYPE).is_some_and(is_json) {
            return Err("the answer is not JSON".to_owned());
        }
        let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
        let body = body.map_err(|error| in_words(&*error))?.to_bytes();
        answer::read(&body).map_err(str::to_owned)
    }
}

/// How an address is talked to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plain {
    /// In TLS.
    No,
    /// In the clear, within this machine.
    Here,
    /// In the clear, for whoever listens.
    ToOthers,
}

fn endpoint(url: &str) -> Result<(Uri, Plain), BadRemote> {
    let url = Url::parse(url).map_err(|_| BadRemote::Address)?;
    let bare =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    let host = url.host().filter(|_| bare).ok_or(BadRemote::Address)?;
    let here = match host {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    let plain = match (url.scheme(), here) {
        ("https", _) => Plain::No,
        ("http", true) => Plain::Here,
        ("http", false) => Plain::ToOthers,
        (_, _) => return Err(BadRemote::Address),
    };
    let endpoint = format!("{}/oauth/introspect", url.as_str().trim_end_matches('/'));
    Ok((endpoint.parse().map_err(|_| BadRemote::Address)?, plain))
}

/// With one provider of cryptography, whatever others the program has. In plain HTTP there are no certificates, and a machine
/// may have no roots.
fn connector(plain: Plain) -> Result<HttpsConnector<HttpConnector>, BadRemote> {
    let provider = Arc::new(ring::default_provider());
    let builder = HttpsConnectorBuilder::new();
    if plain == Plain::No {
        let builder = builder.with_provider_and_native_roots(provider).map_err(BadRemote::Roots)?;
        return Ok(builder.https_only().enable_http1().build());
    }
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| BadRemote::Roots(io::Error::other(error)))?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    Ok(builder.with_tls_config(config).https_or_http().enable_http1().build())
}

/// RFC 6749 §2.3.1. Daypass makes ids and secrets of letters and digits, which are the same encoded or not.
fn basic(client_id: &str, client_secret: &str) -> Result<HeaderValue, BadRemote> {
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !plain(client_id) || !plain(client_secret) {
        return Err(BadRemote::Credentials);
    }
    let pair = Zeroizing::new(format!("{client_id}:{client_secret}"));
    let text = Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(pair.as_bytes())));
    let mut value = HeaderValue::from_str(&text).map_err(|_| BadRemote::Credentials)?;
    value.set_sensitive(true);
    Ok(value)
}

fn is_json(media_type: &HeaderValue) -> bool {
    let essence = media_type.to_str().ok().and_then(|text| text.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

/// An error with what caused it, which its own words leave out.
fn in_words(error: &(dyn StdError + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    words
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("endpoint", &self.0.endpoint).finish_non_exhaustive()
    }
}
