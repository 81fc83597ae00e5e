//! `daypass serve`: the main job.

use std::{env::VarError, net::SocketAddr, sync::Arc, time::Duration};

use clap::Args;
use entity::Scopes;
use tokio::{net::TcpListener, signal::unix::SignalKind};

use super::{Command, Common, Failure, print, require_schema, stop_signal};
use crate::{
    account::{
        password::{self, Password},
        users::{self, Username},
    },
    api::oauth,
    app::App,
    audit::Actor,
    clock::Clock,
    config::Config,
    db::{
        self,
        durability::{self, Weakness},
    },
    error::Error,
    server::{self, tls::Tls},
    telemetry,
};

/// Holds the password of the first user; it is no configuration key, for it must not be printed with them.
const ADMIN_PASSWORD: &str = "DAYPASS_ADMIN_PASSWORD";

#[derive(Debug, Default, PartialEq, Eq, Args)]
pub(super) struct Serve {
    /// The address to listen on
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Only check that the schema is up to date, and change nothing
    #[arg(long)]
    no_migrate: bool,
    /// Serve plain HTTP on an address that others can reach
    #[arg(long)]
    insecure_plain_http: bool,
}

impl Serve {
    /// The command that is meant where these flags stand before one, or alone.
    pub(super) fn before(self, command: Option<Command>) -> Result<Command, Failure> {
        match command {
            None => Ok(Command::Serve(self)),
            Some(Command::Serve(after)) => Ok(Command::Serve(Self {
                listen: after.listen.or(self.listen),
                no_migrate: after.no_migrate || self.no_migrate,
                insecure_plain_http: after.insecure_plain_http || self.insecure_plain_http,
            })),
            Some(other) if self == Self::default() => Ok(other),
            Some(_) => Err(Failure::Usage(
                "--listen, --no-migrate and --insecure-plain-http are flags of `daypass serve`".to_owned(),
            )),
        }
    }

    pub(super) async fn run(self, common: &Common) -> Result<(), Failure> {
        let listen = self.listen.clone().map(|address| ("listen", "--listen", address));
        let config = common.load(&listen.into_iter().collect::<Vec<_>>())?.config;
        self.refuse_exposure(&config)?;
        telemetry::log(&config.log);
        telemetry::count();
        let clock = Clock::System;
        let tls = Tls::load(&config.tls, clock.now()).await.map_err(|error| Failure::Usage(error.to_string()))?;
        let app = App::open(config, clock).await?;
        if !self.no_migrate {
            db::migrate::up(&app.db).await?;
        }
        require_schema(&app).await?;
        for Weakness { setting, value, meaning } in durability::weaknesses(&app.db).await? {
            tracing::warn!(setting, value, "acknowledged changes may not survive everything: {meaning}");
        }
        first_admin(&app).await?;
        let listener = bind(app.config.listen)?;
        tracing::info!(
            address = %listener.local_addr()?,
            database = crate::config::without_password(&app.config.database_url),
            version = env!("CARGO_PKG_VERSION"),
            tls = tls.is_some(),
            "listening"
        );
        if oauth::metadata::issuer(&app).is_none() {
            tracing::warn!("public_url is not set, so OAuth clients find no metadata here");
        }
        let (stop, delay) = (stop_signal()?, app.config.shutdown_delay);
        // SIGINT comes from somebody at a terminal, who waits.
        let shutdown = async { if stop.await == SignalKind::terminate() { delay } else { Duration::ZERO } };
        server::run(app, listener, tls, shutdown).await?;
        Ok(())
    }

    /// Tokens in plain HTTP are for whoever listens: on an address that others reach, somebody must have wanted that.
    fn refuse_exposure(&self, config: &Config) -> Result<(), Failure> {
        let exposed = !config.listen.ip().is_loopback() && !config.tls.is_on();
        if exposed && !self.insecure_plain_http && config.trusted_proxies.is_empty() {
            return Err(Failure::Usage(format!(
                "listen = \"{}\" is not a loopback address, and tokens would travel in plain HTTP; set tls.certificate \
                 and tls.key, or put a proxy that speaks TLS in front and name it in trusted_proxies, or say \
                 --insecure-plain-http",
                config.listen
            )));
        }
        Ok(())
    }
}

fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    server::bind(address).map_err(|error| Failure::Other(format!("cannot listen on {address}: {error}")))
}

/// Makes the first user of a new database. A password that is made up is printed here, once, and is no log line.
async fn first_admin(app: &Arc<App>) -> Result<(), Failure> {
    if !users::none_yet(app.db.reader()).await? {
        return Ok(());
    }
    let given = match std::env::var(ADMIN_PASSWORD) {
        Ok(given) => Some(given),
        Err(VarError::NotPresent) => None,
        Err(VarError::NotUnicode(_)) => {
            return Err(Failure::Usage(format!("environment {ADMIN_PASSWORD} is not UTF-8")));
        }
    };
    let made_up = given.is_none();
    let text = zeroize::Zeroizing::new(match given {
        Some(given) => given,
        None => password::make_up().map_err(|error| Failure::Other(format!("no random bytes: {error}")))?,
    });
    let name = Username::parse("admin")?;
    let scopes = Scopes::collect([Scopes::ADMIN]).map_err(|error| Failure::Other(error.to_string()))?;
    match users::create(app, &name, Password::new(text.to_string()), scopes, &Actor::system(), app.clock.now()).await {
        Ok(_) if made_up => {
            print::line(format_args!("First start: the user admin was made, with the password {}", text.as_str()));
            print::line("It is shown this once. Change it with: daypass user passwd admin");
        }
        Ok(_) => tracing::info!("the user admin was made, with the password from {ADMIN_PASSWORD}"),
        // Another replica was faster.
        Err(Error::Conflict(_)) => {}
        Err(Error::Invalid { message, .. }) => {
            return Err(Failure::Usage(format!("{ADMIN_PASSWORD} is no good as a password: {message}")));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
