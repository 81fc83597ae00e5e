//! The configuration: built-in defaults < `daypass.toml` (or `--config`) < environment < flags.
//!
//! - this file: the settings and their defaults, one struct a section;
//! - `load`: finds the layers, puts them together, prints the result with the source of each value;
//! - `layers`: what each layer says, by dotted key;
//! - `values`: one value: its type, and how it is read from text and shown;
//! - `rules`: which values are allowed;
//! - [`mod@schedule`]: when the purge runs;
//! - `units`: durations and sizes as people write them;
//! - `error`: what is said when something is wrong;
//! - `nearest`, `database_url`: "did you mean", and hiding passwords.
//!
//! A [`Config`] that came from [`load()`] has passed every rule. A number 0 in a limit means that there is none.

mod database_url;
mod error;
mod layers;
mod load;
mod nearest;
#[cfg(test)]
mod round_trip;
mod rules;
pub mod schedule;
pub mod units;
mod values;

use std::{fmt, net::SocketAddr, time::Duration};

use entity::token::Kind;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use database_url::without_password;
pub use error::{ConfigError, Source};
#[cfg(any(test, fuzzing))]
pub(crate) use load::from_text;
pub use load::{Loaded, environment, load};

/// Everything that can be set.
///
/// Neither `Debug` nor `Serialize` shows the password in `database_url`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on. Loopback, because plain HTTP beyond it must be asked for.
    #[serde(deserialize_with = "load::socket_address")]
    pub listen: SocketAddr,
    /// Where clients reach this service, without a slash at the end: the OAuth issuer. Without it there is one on loopback
    /// only, made of `listen`; never is it taken from a request.
    pub public_url: String,
    /// Which database: `sqlite:`, `postgres:`, `postgresql:`, `mysql:`, or `mariadb:`, which means the same as `mysql:`.
    /// It may hold a password: print it by [`without_password`] only.
    #[serde(serialize_with = "load::hidden")]
    pub database_url: String,
    /// Networks of the proxies whose `X-Forwarded-For` is believed.
    #[serde(deserialize_with = "load::networks")]
    pub trusted_proxies: Vec<IpNet>,
    /// For how long, after SIGTERM, the service goes on answering while it says that it is not ready. Longer than a load
    /// balancer needs to hear of it, or requests that it still sends here fail.
    #[serde(with = "units::duration")]
    pub shutdown_delay: Duration,
    /// `[database]`
    pub database: Database,
    /// `[tls]`
    pub tls: Tls,
    /// `[tokens]`
    pub tokens: Tokens,
    /// `[check]`
    pub check: Check,
    /// `[passwords]`
    pub passwords: Passwords,
    /// `[oauth]`
    pub oauth: Oauth,
    /// `[limits]`
    pub limits: Limits,
    /// `[maintenance]`
    pub maintenance: Maintenance,
    /// `[audit]`
    pub audit: Audit,
    /// `[log]`
    pub log: Log,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8000)),
            public_url: String::new(),
            database_url: "sqlite://daypass.db".to_owned(),
            trusted_proxies: Vec::new(),
            shutdown_delay: Duration::from_secs(2),
            database: Database::default(),
            tls: Tls::default(),
            tokens: Tokens::default(),
            check: Check::default(),
            passwords: Passwords::default(),
            oauth: Oauth::default(),
            limits: Limits::default(),
            maintenance: Maintenance::default(),
            audit: Audit::default(),
            log: Log::default(),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Taken apart by name so that a new field cannot be forgotten.
        let Self {
            listen,
            public_url,
            database_url,
            trusted_proxies,
            shutdown_delay,
            database,
            tls,
            tokens,
            check,
            passwords,
            oauth,
            limits,
            maintenance,
            audit,
            log,
        } = self;
        f.debug_struct("Config")
            .field("listen", listen)
            .field("public_url", public_url)
            .field("database_url", &without_password(database_url))
            .field("trusted_proxies", trusted_proxies)
            .field("shutdown_delay", shutdown_delay)
            .field("database", database)
            .field("tls", tls)
            .field("tokens", tokens)
            .field("check", check)
            .field("passwords", passwords)
            .field("oauth", oauth)
            .field("limits", limits)
            .field("maintenance", maintenance)
            .field("audit", audit)
            .field("log", log)
            .finish()
    }
}

/// How the database is connected to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Connections at most to `PostgreSQL` or MySQL, for each replica: three replicas stay below the 100 (`PostgreSQL`)
    /// and 151 (MySQL) that those servers allow by default.
    pub max_connections: u32,
    /// Connections that read, for `SQLite`; one more writes. Reads are short and come from memory: more would only wait
    /// for the same cores.
    pub sqlite_readers: u32,
    /// How long a request waits for a connection before it is answered 503. Short: waiting requests pile up.
    #[serde(with = "units::duration")]
    pub acquire_timeout: Duration,
    /// How long the server may work on one statement; `PostgreSQL` only, and not while the schema is changed. The slowest
    /// of ours is a purge's batch.
    #[serde(with = "units::duration")]
    pub statement_timeout: Duration,
    /// After how long unused a connection is closed; `""`: never. Ten minutes is below what firewalls commonly cut at.
    #[serde(with = "units::optional_duration")]
    pub idle_timeout: Option<Duration>,
    /// What an acknowledged write survives, on `SQLite`.
    pub sqlite_durability: Durability,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            max_connections: 32,
            sqlite_readers: 4,
            acquire_timeout: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(10),
            idle_timeout: Some(Duration::from_mins(10)),
            sqlite_durability: Durability::Full,
        }
    }
}

/// What an acknowledged write survives, on `SQLite`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// A power loss. The default: a revoked token must never work again.
    Full,
    /// A crash of the process, but not a power loss: faster, and the last few writes are at stake.
    Normal,
}

/// The files that HTTPS is served with, looked at again every few seconds; without them it is plain HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Path of the certificate and those between it and a root, in that order, PEM.
    pub certificate: String,
    /// Path of its private key, PEM.
    pub key: String,
}

impl Tls {
    /// Whether HTTPS is served.
    pub fn is_on(&self) -> bool {
        !self.certificate.is_empty()
    }
}

/// What tokens look like, and how long each kind lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// What every token starts with: 2 to 8 lower-case letters, so that secret scanners can find leaked ones.
    pub prefix: String,
    /// Prefixes of old that are still accepted.
    pub previous_prefixes: Vec<String>,
    /// Tokens from a login. They end with the working day.
    pub session: KindPolicy,
    /// Named tokens, made on purpose, for programs. Somebody has to replace them by hand: quarterly.
    pub api: KindPolicy,
    /// Tokens from client credentials. Short, since a new one costs the client one request; 24 hours at most, so that a
    /// client that is taken away is gone the next day.
    pub client: KindPolicy,
    /// Refresh tokens: a device unused for 30 days logs in anew. Their family may be kept alive for 90 days.
    pub refresh: KindPolicy,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            prefix: "dp".to_owned(),
            previous_prefixes: Vec::new(),
            session: KindPolicy::lasting(Duration::from_hours(10), days(30)),
            api: KindPolicy::lasting(days(90), days(365)),
            client: KindPolicy::lasting(Duration::from_hours(1), days(1)),
            refresh: KindPolicy::lasting(days(30), days(90)),
        }
    }
}

/// How long tokens of one kind last, and how many a user may hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindPolicy {
    /// From issue to the end when nothing else is asked for; whole seconds.
    #[serde(with = "units::duration")]
    pub ttl: Duration,
    /// From issue to the end beyond which no renewal goes; whole seconds, 10 years at most.
    #[serde(with = "units::duration")]
    pub max_lifetime: Duration,
    /// Unused for so long, a token ends; whole seconds, at least 60; `""`: it does not.
    #[serde(with = "units::optional_duration")]
    pub idle_timeout: Option<Duration>,
    /// How many active ones a user may hold; 0: any number.
    pub per_user_limit: u32,
    /// What happens when one more is asked for.
    pub at_limit: AtLimit,
}

impl Tokens {
    /// The policy of a kind.
    pub fn of(&self, kind: Kind) -> &KindPolicy {
        match kind {
            Kind::Session => &self.session,
            Kind::Api => &self.api,
            Kind::Client => &self.client,
            Kind::Refresh => &self.refresh,
        }
    }
}

impl KindPolicy {
    fn lasting(ttl: Duration, max_lifetime: Duration) -> Self {
        Self { ttl, max_lifetime, idle_timeout: None, per_user_limit: 0, at_limit: AtLimit::Refuse }
    }
}

/// What happens to a user who holds as many tokens as allowed and asks for one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AtLimit {
    /// The request is refused. The default: nothing stops working that nobody touched.
    Refuse,
    /// The oldest is revoked.
    EvictOldest,
}

/// How tokens are checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// How late another replica may notice a revocation; `"0s"` asks the database every time. 60 seconds at most.
    #[serde(with = "units::duration")]
    pub max_staleness: Duration,
    /// How many tokens are remembered; 0: none.
    pub cache_entries: usize,
    /// How much longer memory answers while the database is away; `""`: not at all, which is the safe side.
    #[serde(with = "units::optional_duration")]
    pub stale_if_error: Option<Duration>,
    /// The `max-age` that a proxy may keep an answer for; whole seconds. Zero, for it adds to `max_staleness`.
    #[serde(with = "units::duration")]
    pub proxy_max_age: Duration,
    /// How exactly the last use is recorded: at most one write in this time for each token.
    #[serde(with = "units::duration")]
    pub last_used_precision: Duration,
}

impl Default for Check {
    fn default() -> Self {
        Self {
            max_staleness: Duration::from_secs(1),
            cache_entries: 1_000_000,
            stale_if_error: None,
            proxy_max_age: Duration::ZERO,
            last_used_precision: Duration::from_mins(1),
        }
    }
}

/// How passwords are hashed (argon2id), and how long they are. The cost is OWASP's first choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passwords {
    /// Memory for one hash, in KiB: 8 for each lane at least, 1 GiB at most.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
    /// The fewest characters.
    pub min_length: usize,
    /// The most bytes: hashing a megabyte would be a way to keep us busy. It holds for logging in as well.
    pub max_length: usize,
    /// How many are hashed at once; 0: one for each core.
    pub concurrency: usize,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { memory_kib: 19_456, iterations: 2, parallelism: 1, min_length: 8, max_length: 1024, concurrency: 0 }
    }
}

/// The OAuth 2.0 doors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oauth {
    /// Whether the `password` grant is there. Off: RFC 9700 §2.4 forbids it in general.
    pub password_grant: bool,
    /// For how long a spent refresh token may be sent again by its client, whose first answer may have been lost.
    #[serde(with = "units::duration")]
    pub refresh_grace: Duration,
}

impl Default for Oauth {
    fn default() -> Self {
        Self { password_grant: false, refresh_grace: Duration::from_secs(30) }
    }
}

/// What a single caller may ask of us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Attempts to log in, for each address and minute; 0: any number.
    pub login_per_minute_per_ip: u32,
    /// Wrong passwords in a row before an account is locked; 0: it never is.
    pub login_failures_before_lock: u32,
    /// For how long it is locked; whole seconds.
    #[serde(with = "units::duration")]
    pub lock_for: Duration,
    /// The largest request body, in bytes.
    #[serde(with = "units::size")]
    pub max_body: u64,
    /// How long a request's body may take to arrive.
    #[serde(with = "units::duration")]
    pub request_timeout: Duration,
    /// How many connections may be open at a time; others wait until one ends.
    pub max_connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            login_per_minute_per_ip: 30,
            login_failures_before_lock: 5,
            lock_for: Duration::from_mins(15),
            max_body: 64 * 1024,
            request_timeout: Duration::from_secs(30),
            max_connections: 10_000,
        }
    }
}

/// Housekeeping: when, and what is stale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maintenance {
    /// When the purge runs: cron with seconds, in UTC; [`schedule::Schedule`] reads it.
    pub purge_schedule: String,
    /// When notes of changes go that every replica has seen; like all schedules here, away from the others.
    pub changes_schedule: String,
    /// When counters of attempts go whose window is over.
    pub counters_schedule: String,
    /// When secrets go whose overlap after a rotation is over.
    pub rotations_schedule: String,
    /// When the records of old runs go.
    pub history_schedule: String,
    /// When `SQLite` gives back space, empties its log and looks at its statistics; servers do so themselves.
    pub sqlite_schedule: String,
    /// For how long an expired token is kept. A day: support can still say "it expired", not "it never was".
    #[serde(with = "units::duration")]
    pub retain_expired: Duration,
    /// For how long a revoked token is kept.
    #[serde(with = "units::duration")]
    pub retain_revoked: Duration,
    /// Rows deleted in one transaction at most; fewer where they take longer than 25 ms, so that nobody waits long behind it.
    pub batch_size: u64,
    /// How long one run may take; the next goes on from there, at once.
    #[serde(with = "units::duration")]
    pub max_run: Duration,
    /// For how long the record of a run is kept.
    #[serde(with = "units::duration")]
    pub keep_runs: Duration,
}

impl Default for Maintenance {
    fn default() -> Self {
        Self {
            purge_schedule: "0 */5 * * * *".to_owned(),
            changes_schedule: "30 1/5 * * * *".to_owned(),
            counters_schedule: "0 2/10 * * * *".to_owned(),
            rotations_schedule: "0 3/10 * * * *".to_owned(),
            history_schedule: "0 13 * * * *".to_owned(),
            sqlite_schedule: "0 48 * * * *".to_owned(),
            retain_expired: days(1),
            retain_revoked: days(1),
            batch_size: 5000,
            max_run: Duration::from_mins(1),
            keep_runs: days(30),
        }
    }
}

impl Maintenance {
    /// All schedules, with their keys.
    pub fn schedules(&self) -> [(&'static str, &str); 6] {
        [
            ("maintenance.purge_schedule", &self.purge_schedule),
            ("maintenance.changes_schedule", &self.changes_schedule),
            ("maintenance.counters_schedule", &self.counters_schedule),
            ("maintenance.rotations_schedule", &self.rotations_schedule),
            ("maintenance.history_schedule", &self.history_schedule),
            ("maintenance.sqlite_schedule", &self.sqlite_schedule),
        ]
    }
}

/// The audit trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// For how long an event is kept; `""`: for ever.
    #[serde(with = "units::optional_duration")]
    pub keep: Option<Duration>,
}

impl Default for Audit {
    fn default() -> Self {
        Self { keep: Some(days(90)) }
    }
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// The form of a line.
    pub format: LogFormat,
    /// The least important kind of event that is logged.
    pub level: LogLevel,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Auto, level: LogLevel::Info }
    }
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// How important an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Somebody must act.
    Error,
    /// Somebody should look.
    Warn,
    /// What happened.
    Info,
    /// Why it happened.
    Debug,
    /// Everything.
    Trace,
}

const fn days(number: u64) -> Duration {
    Duration::from_hours(24 * number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_obey_the_rules() {
        assert!(rules::check(&Config::default()).is_ok());
    }

    #[test]
    fn debug_shows_no_database_password() {
        let config = Config { database_url: "postgres://daypass:hunter2@db/daypass".to_owned(), ..Config::default() };
        let debug = format!("{config:?}");
        assert!(!debug.contains("hunter2"), "{debug}");
        assert!(debug.contains("postgres://daypass:***@db/daypass") && debug.contains("keep_runs"), "{debug}");
    }

    #[test]
    fn serialising_shows_no_database_password() {
        let config = Config { database_url: "postgres://daypass:hunter2@db/daypass".to_owned(), ..Config::default() };
        assert!(!toml::to_string(&config).unwrap().contains("hunter2"));
    }
}
