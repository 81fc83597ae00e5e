//! The command line: one file a group of commands. It reads arguments and prints; what is done is decided elsewhere.

mod audit;
mod client;
mod documents;
mod migrate;
mod print;
mod purge;
mod serve;
mod token;
mod user;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    app::{App, OpenError},
    clock::Clock,
    config::{self, ConfigError, Loaded, LogLevel},
    db,
    error::{Error, Storage},
    telemetry,
};

/// A token service: issues tokens that expire, checks them, and purges the stale.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Example: daypass serve --listen 127.0.0.1:8000")]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    serve: serve::Serve,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What every command takes.
#[derive(Clone, Debug, Args)]
struct Common {
    /// The configuration file [default: daypass.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[arg(long, global = true, value_name = "URL")]
    #[arg(help = "The database, such as sqlite://daypass.db or postgres://user@host/daypass")]
    database_url: Option<String>,
    /// Print data as JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer requests and purge on schedule; the default
    #[command(after_help = "Example: daypass serve --listen 127.0.0.1:8000 --database-url sqlite://daypass.db")]
    Serve(serve::Serve),
    /// Manage users
    #[command(subcommand, after_help = "Example: echo \"$PASSWORD\" | daypass user add alice --password-stdin")]
    User(user::Command),
    /// Manage OAuth clients
    #[command(subcommand, after_help = "Example: daypass client add billing --scope orders:read")]
    Client(client::Command),
    /// Issue, look at and revoke tokens
    #[command(subcommand, after_help = "Example: daypass token issue --user alice --name laptop --ttl 90d")]
    Token(token::Command),
    /// Show who did what, newest first
    #[command(after_help = "Example: daypass audit --event login_failed --since 2026-11-24T00:00:00Z")]
    Audit(audit::Audit),
    /// Delete what is stale
    #[command(after_help = "Example: daypass purge --dry-run")]
    Purge(purge::Purge),
    /// Change or look at the database's schema
    #[command(subcommand, after_help = "Example: daypass migrate status")]
    Migrate(migrate::Command),
    /// Print the OpenAPI document
    #[command(after_help = "Example: daypass openapi --format yaml > openapi.yaml")]
    Openapi(documents::Openapi),
    /// Print the effective configuration as TOML, with where each value is from
    #[command(after_help = "Example: DAYPASS_LISTEN=127.0.0.1:9000 daypass config")]
    Config,
    /// Print a completion script for a shell
    #[command(after_help = "Example: daypass completions bash > /etc/bash_completion.d/daypass")]
    Completions(documents::Completions),
}

/// Why a command failed. The exit code tells bad usage (2), which no other state of the database would make right, from
/// everything else (1).
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Domain(#[from] Error),
    #[error("the database failed: {0}")]
    Storage(#[from] Storage),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Other(String),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl From<sea_orm::DbErr> for Failure {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Storage(error.into())
    }
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Usage(_) | Self::Domain(Error::Invalid { .. }) => 2,
            Self::Open(_) | Self::Domain(_) | Self::Storage(_) | Self::Other(_) | Self::Io(_) => 1,
        }
    }
}

/// Reads the arguments, does what they say, and tells how it went.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            print::note(format_args!("daypass: cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(dispatch(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            print::note(format_args!("daypass: {failure}"));
            ExitCode::from(failure.code())
        }
    }
}

async fn dispatch(cli: Cli) -> Result<(), Failure> {
    let Cli { common, serve: flags, command } = cli;
    match flags.before(command)? {
        Command::Serve(serve) => serve.run(&common).await?,
        Command::User(command) => command.run(&common).await?,
        Command::Client(command) => command.run(&common).await?,
        Command::Token(command) => command.run(&common).await?,
        Command::Audit(audit) => audit.run(&common).await?,
        Command::Purge(purge) => purge.run(&common).await?,
        Command::Migrate(command) => command.run(&common).await?,
        Command::Openapi(openapi) => openapi.run(),
        Command::Config => documents::config(&common)?,
        Command::Completions(completions) => completions.run(),
    }
    Ok(())
}

impl Common {
    /// The configuration, with these flags and those of the command on top.
    fn load(&self, flags: &[(&str, &str, String)]) -> Result<Loaded, Failure> {
        let database = self.database_url.clone().map(|url| ("database_url", "--database-url", url));
        let flags: Vec<_> = database.into_iter().chain(flags.iter().cloned()).collect();
        let environment = config::environment(std::env::vars_os())?;
        Ok(config::load(self.config.as_deref(), environment.into_iter(), &flags)?)
    }

    /// The service's state, for a command that works on a database whose schema is up to date.
    async fn open(&self) -> Result<Arc<App>, Failure> {
        let app = self.open_as_is().await?;
        require_schema(&app).await?;
        Ok(app)
    }

    /// The same, whatever the schema.
    async fn open_as_is(&self) -> Result<Arc<App>, Failure> {
        let config = self.load(&[])?.config;
        let mut log = config.log.clone();
        if log.level == LogLevel::Info {
            // A command prints what it did; a log line beside it would say the same again.
            log.level = LogLevel::Warn;
        }
        telemetry::log(&log);
        Ok(App::open(config, Clock::System).await?)
    }
}

/// Refuses a database whose schema is behind this program.
async fn require_schema(app: &App) -> Result<(), Failure> {
    let steps = db::migrate::status(&app.db).await?;
    match steps.iter().find(|step| !step.applied) {
        None => Ok(()),
        Some(step) => Err(Failure::Other(format!(
            "the database's schema is behind: {} is missing; run `daypass migrate up`",
            step.name
        ))),
    }
}

/// Completes when the process is asked to stop.
fn stop_signal() -> Result<impl Future<Output = SignalKind>, Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => SignalKind::terminate(),
            _ = interrupt.recv() => SignalKind::interrupt(),
        }
    })
}
