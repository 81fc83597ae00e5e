//! Daypass in front of a poem service of one's own: a middleware that lets in who presents a token that works, and an
//! extractor that says who it is.
//!
//! - [`Guard`], the middleware, and [`Caller`], the extractor, are in this file and `caller`;
//! - [`Embedded`] is a Daypass in the same process, on a database that may be shared with others;
//! - [`Remote`] asks a Daypass elsewhere by introspection (RFC 7662), and remembers the answer for some seconds. It needs the
//!   cargo feature `remote`.
//!
//! ```ignore
//! use daypass::guard::{Caller, Guard, Remote, Settings};
//! use poem::{EndpointExt, Route, Server, get, handler, listener::TcpListener};
//!
//! #[handler]
//! fn hello() -> &'static str {
//!     "Anybody may read this.\n"
//! }
//!
//! #[handler]
//! fn orders(caller: Caller) -> String {
//!     format!("Orders of {}\n", caller.username.unwrap_or_else(|| "a program".to_owned()))
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let secret = std::env::var("DAYPASS_CLIENT_SECRET")?;
//!     let daypass = Remote::new("https://id.example.org", "0353vs2wJDQfWjkzm86vZA", &secret, &Settings::default())?;
//!     let app = Route::new()
//!         .at("/hello", get(hello))
//!         .at("/orders", get(orders).with(Guard::new(&daypass).scope("orders:read")));
//!     Server::new(TcpListener::bind("127.0.0.1:3000")).run(app).await?;
//!     Ok(())
//! }
//! ```
//!
//! Whole programs of either kind are in the folder `examples`; the suite runs them.
//!
//! # What a guard answers
//!
//! Daypass's own problems (RFC 9457), for the reasons that [`crate::api::problem`] lists: 401 with `WWW-Authenticate: Bearer`
//! to no token and to one that does not work, 403 `insufficient_scope`, 400 where more than one credential is presented, and
//! 503 with `Retry-After` where it could not be found out. Trouble is never told as a bad token: clients throw those away.
//!
//! # How late a revocation is seen
//!
//! By an [`Embedded`] one as by any replica: within `check.max_staleness` (a second) of a change made elsewhere, at once if made
//! by itself. By a [`Remote`] one within [`Settings::keep`] (five seconds), in addition to what the Daypass that it asks needs.
//! The end of a token's time is looked at on every request by both.

mod caller;
mod embedded;
#[cfg(feature = "remote")]
mod remote;

use std::sync::Arc;

use entity::Timestamp;
use poem::{Endpoint, Middleware, Request, http::HeaderMap};

pub use caller::Caller;
pub use embedded::{Embedded, StartError};
pub use entity::Scopes;
#[cfg(feature = "remote")]
pub use remote::{BadRemote, Remote, Settings};

use crate::{
    api::{
        auth::{Credential, credential},
        problem::ApiError,
    },
    app::App,
    token::check,
};

/// Lets requests through to an endpoint if they present a token that works and holds every scope that is needed.
///
/// As middleware (`endpoint.with(guard)`) it protects an endpoint or a whole route, whether or not a handler asks who called.
/// As data (`route.data(guard)`) it protects nothing by itself: then each handler that takes a [`Caller`] is for those only who
/// have a token, and the others are open.
#[derive(Clone, Debug)]
pub struct Guard {
    source: Source,
    scopes: Vec<String>,
}

/// Where a guard gets to know whether a token works.
#[derive(Clone, Debug)]
pub enum Source {
    /// From a Daypass in this process.
    Embedded(Arc<App>),
    /// From a Daypass elsewhere.
    #[cfg(feature = "remote")]
    Remote(Remote),
}

impl From<&Arc<App>> for Source {
    fn from(app: &Arc<App>) -> Self {
        Self::Embedded(Arc::clone(app))
    }
}

impl From<&Embedded> for Source {
    fn from(embedded: &Embedded) -> Self {
        Self::from(embedded.app())
    }
}

#[cfg(feature = "remote")]
impl From<&Remote> for Source {
    fn from(remote: &Remote) -> Self {
        Self::Remote(remote.clone())
    }
}

impl Guard {
    /// Lets through whoever has a token that works.
    pub fn new(source: impl Into<Source>) -> Self {
        Self { source: source.into(), scopes: Vec::new() }
    }

    /// Needs this scope too. It is one scope, taken as it is: nothing is a token's that is no scope.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.push(scope.into());
        self
    }

    /// Who sent these headers, if they may be let through.
    pub async fn admit(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let caller = match credential(headers) {
            Credential::Token(token) => self.source.find(token).await?,
            Credential::None => return Err(ApiError::no_token()),
            Credential::Unreadable => {
                return Err(ApiError::bad_credentials_format("Authorization must be there once and hold one token"));
            }
        };
        caller.must_hold(&self.scopes)?;
        Ok(caller)
    }
}

impl Source {
    async fn find(&self, token: &str) -> Result<Caller, ApiError> {
        match self {
            Self::Embedded(app) => embedded(app, token, app.clock.now()).await,
            #[cfg(feature = "remote")]
            Self::Remote(remote) => remote.find(token).await,
        }
    }
}

async fn embedded(app: &App, token: &str, now: Timestamp) -> Result<Caller, ApiError> {
    Ok(Caller::from(&check::check(app, token, now).await?))
}

impl<E: Endpoint> Middleware<E> for Guard {
    type Output = Guarded<E>;

    fn transform(&self, endpoint: E) -> Self::Output {
        Guarded { guard: self.clone(), endpoint }
    }
}

/// An endpoint behind a [`Guard`].
#[derive(Debug)]
pub struct Guarded<E> {
    guard: Guard,
    endpoint: E,
}

impl<E: Endpoint> Endpoint for Guarded<E> {
    type Output = E::Output;

    async fn call(&self, mut request: Request) -> poem::Result<Self::Output> {
        let caller = self.guard.admit(request.headers()).await?;
        request.extensions_mut().insert(caller);
        self.endpoint.call(request).await
    }
}
