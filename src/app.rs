//! What everything below HTTP needs: the databases, the clock, the settings. It knows no HTTP.

use std::{
    io,
    sync::{Arc, atomic::AtomicBool},
};

use crate::{
    account::{
        password::{Cost, Hasher},
        turns::Turns,
    },
    audit::failures::Failures,
    clock::Clock,
    config::Config,
    db::Db,
    error::Storage,
    maintenance::{schedule::BadSchedule, state::Maintenance},
    token::{at_once::Issuing, checker::Checker},
};

/// The service's state, shared by every request and every job.
#[derive(Debug)]
pub struct App {
    /// The settings it was started with.
    pub config: Config,
    /// Where the time comes from.
    pub clock: Clock,
    /// The database.
    pub db: Db,
    /// What checks remember.
    pub checker: Checker,
    /// Tokens that are about to be made.
    pub issuing: Issuing,
    /// The threads that hash passwords.
    pub hasher: Hasher,
    /// Who is trying to log in.
    pub turns: Turns,
    /// Logins that failed and are not on record yet.
    pub failures: Failures,
    /// What maintenance is doing.
    pub maintenance: Maintenance,
    /// Whether the service was told to stop: what comes is answered still, and had better go elsewhere.
    pub stopping: AtomicBool,
    /// This process among others on the same database, for people: host name and process id.
    pub replica: String,
}

/// Why the service's state could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database could not be opened.
    #[error("cannot open the database {url}: {error}")]
    Database {
        /// Its address, without a password.
        url: String,
        /// What it said.
        error: Storage,
    },
    /// The hashing threads could not be started.
    #[error("cannot start the password hashing threads: {0}")]
    Threads(#[from] io::Error),
    /// A schedule is not one.
    #[error(transparent)]
    Schedule(#[from] BadSchedule),
}

impl App {
    /// Opens the database (creating an `SQLite` file that is not there) and starts the hashing threads
    /// and those who read tokens.
    pub async fn open(config: Config, clock: Clock) -> Result<Arc<Self>, OpenError> {
        let db = Db::open(&config.database_url, &config.database).await.map_err(|error| OpenError::Database {
            url: crate::config::without_password(&config.database_url),
            error,
        })?;
        let maintenance = Maintenance::new(&config, db.engine(), &clock)?;
        let passwords = &config.passwords;
        let cost = Cost {
            memory_kib: passwords.memory_kib,
            iterations: passwords.iterations,
            parallelism: passwords.parallelism,
        };
        let hasher = Hasher::start(cost, passwords.concurrency)?;
        let (checker, issuing) = (Checker::new(&config.check, &db, &clock), Issuing::start(&db));
        let (turns, failures) = (Turns::default(), Failures::default());
        let (stopping, replica) = (AtomicBool::new(false), replica_name());
        Ok(Arc::new(Self {
            config,
            clock,
            db,
            checker,
            issuing,
            hasher,
            turns,
            failures,
            maintenance,
            stopping,
            replica,
        }))
    }
}

fn replica_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let host: String = if host.is_empty() { "localhost".to_owned() } else { host.chars().take(100).collect() };
    format!("{host}/{}", std::process::id())
}
