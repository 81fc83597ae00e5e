//! Which values are allowed. One plain check a rule; each names the key and says what would be right.

use std::{fmt::Display, net::Ipv6Addr, ops::RangeInclusive, time::Duration};

use super::{
    Check, Config, Database, KindPolicy, Limits, Maintenance, Passwords, Tls, Tokens,
    units::{duration_text, size_text},
};

/// A rule that a value breaks.
#[derive(Debug)]
pub struct Broken {
    /// The dotted key.
    pub key: String,
    /// What would be right.
    pub right: String,
}

type Verdict = Result<(), Broken>;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const KIB: u64 = 1024;

/// Ten years, of the 365.25 days that `10y` means.
const TEN_YEARS: Duration = Duration::from_hours(10 * 8766);

/// Finds the first rule that is broken.
pub fn check(config: &Config) -> Verdict {
    public_url(&config.public_url)?;
    database_url(&config.database_url)?;
    database(&config.database)?;
    tls(&config.tls)?;
    tokens(&config.tokens)?;
    checks(&config.check)?;
    passwords(&config.passwords)?;
    limits(&config.limits)?;
    maintenance(&config.maintenance)
}

fn public_url(url: &str) -> Verdict {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let authority = rest.map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    let right = "\"\", or http:// or https:// and a host without path, query, fragment or user, \
                 such as \"https://id.example.org\"";
    require(url.is_empty() || authority.is_some_and(is_host_and_port), "public_url", right)
}

fn is_host_and_port(authority: &str) -> bool {
    let bracketed = authority.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (host_is_right, port) = if let Some((address, port)) = bracketed {
        (address.parse::<Ipv6Addr>().is_ok(), port)
    } else {
        let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
        (!host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)), port)
    };
    host_is_right && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

fn database_url(url: &str) -> Verdict {
    let key = "database_url";
    let servers = ["postgres://", "postgresql://", "mysql://", "mariadb://"];
    let known = url.starts_with("sqlite:") || servers.iter().any(|scheme| url.starts_with(scheme));
    require(
        known && !url.contains(char::is_control),
        key,
        "a URL that begins with sqlite:, postgres://, postgresql://, mysql:// or mariadb://",
    )?;
    // What `daypass config` prints may become a file; connecting with three stars as the password explains nothing.
    require(!url.contains(":***@"), key, "the whole URL: *** is only printed in place of the password")
}

fn database(database: &Database) -> Verdict {
    number("database.max_connections", database.max_connections, 1..=10_000)?;
    number("database.sqlite_readers", database.sqlite_readers, 1..=256)?;
    duration("database.acquire_timeout", database.acquire_timeout, Duration::from_millis(100)..=MINUTE)?;
    duration("database.statement_timeout", database.statement_timeout, Duration::from_millis(100)..=HOUR)?;
    at_least("database.idle_timeout", database.idle_timeout.unwrap_or(SECOND), SECOND)
}

/// An operator who sets these counts on them: silence would be plain HTTP.
fn tls(tls: &Tls) -> Verdict {
    let right = "\"\": TLS is not available in this version yet, a proxy in front has to do it";
    require(tls.certificate.is_empty(), "tls.certificate", right)?;
    require(tls.key.is_empty(), "tls.key", right)
}

fn tokens(tokens: &Tokens) -> Verdict {
    let right = "2 to 8 lower-case letters from a to z";
    require(is_prefix(&tokens.prefix), "tokens.prefix", right)?;
    let previous = tokens.previous_prefixes.iter().all(|prefix| is_prefix(prefix));
    require(previous, "tokens.previous_prefixes", &format!("a list of prefixes, each {right}"))?;
    kind("tokens.session", &tokens.session)?;
    kind("tokens.api", &tokens.api)?;
    kind("tokens.client", &tokens.client)?;
    kind("tokens.refresh", &tokens.refresh)
}

fn is_prefix(prefix: &str) -> bool {
    (2..=8).contains(&prefix.len()) && prefix.bytes().all(|byte| byte.is_ascii_lowercase())
}

fn kind(section: &str, policy: &KindPolicy) -> Verdict {
    let key = |name| format!("{section}.{name}");
    duration(&key("max_lifetime"), policy.max_lifetime, SECOND..=TEN_YEARS)?;
    whole_seconds(&key("max_lifetime"), policy.max_lifetime)?;
    let longest = duration_text(policy.max_lifetime);
    let right = format!("from \"1s\" to {section}.max_lifetime, which is {longest:?}");
    require((SECOND..=policy.max_lifetime).contains(&policy.ttl), &key("ttl"), &right)?;
    whole_seconds(&key("ttl"), policy.ttl)?;
    let Some(idle_timeout) = policy.idle_timeout else { return Ok(()) };
    require(idle_timeout >= MINUTE, &key("idle_timeout"), "\"\" for none, or at least \"1m\"")?;
    whole_seconds(&key("idle_timeout"), idle_timeout)
}

fn checks(check: &Check) -> Verdict {
    duration("check.max_staleness", check.max_staleness, Duration::ZERO..=MINUTE)?;
    whole_seconds("check.proxy_max_age", check.proxy_max_age)?;
    duration("check.last_used_precision", check.last_used_precision, SECOND..=HOUR)
}

fn passwords(passwords: &Passwords) -> Verdict {
    number("passwords.parallelism", passwords.parallelism, 1..=16)?;
    number("passwords.iterations", passwords.iterations, 1..=16)?;
    // Argon2 wants 8 blocks of 1 KiB for each lane.
    number("passwords.memory_kib", passwords.memory_kib, 8 * passwords.parallelism..=1_048_576)?;
    number("passwords.max_length", passwords.max_length, 8..=4096)?;
    number("passwords.min_length", passwords.min_length, 8..=passwords.max_length)?;
    number("passwords.concurrency", passwords.concurrency, 0..=64)
}

fn limits(limits: &Limits) -> Verdict {
    whole_seconds("limits.lock_for", limits.lock_for)?;
    size("limits.max_body", limits.max_body, KIB..=16 * KIB * KIB)?;
    duration("limits.request_timeout", limits.request_timeout, SECOND..=10 * MINUTE)
}

fn maintenance(maintenance: &Maintenance) -> Verdict {
    let schedule = &maintenance.purge_schedule;
    let is_there = !schedule.trim().is_empty() && !schedule.contains(char::is_control);
    require(is_there, "maintenance.purge_schedule", "a cron expression with seconds, such as \"0 */5 * * * *\"")?;
    number("maintenance.batch_size", maintenance.batch_size, 1..=100_000)?;
    at_least("maintenance.max_run", maintenance.max_run, SECOND)?;
    at_least("maintenance.keep_runs", maintenance.keep_runs, HOUR)
}

fn number<T: PartialOrd + Display>(key: &str, value: T, range: RangeInclusive<T>) -> Verdict {
    require(range.contains(&value), key, &format!("from {} to {}", range.start(), range.end()))
}

fn duration(key: &str, value: Duration, range: RangeInclusive<Duration>) -> Verdict {
    let [from, to] = [range.start(), range.end()].map(|end| duration_text(*end));
    require(range.contains(&value), key, &format!("from {from:?} to {to:?}"))
}

fn size(key: &str, value: u64, range: RangeInclusive<u64>) -> Verdict {
    let [from, to] = [range.start(), range.end()].map(|end| size_text(*end));
    require(range.contains(&value), key, &format!("from {from:?} to {to:?}"))
}

fn at_least(key: &str, value: Duration, least: Duration) -> Verdict {
    require(value >= least, key, &format!("at least {:?}", duration_text(least)))
}

/// The API, the HTTP headers and the columns count these in seconds; a half would be lost without a word.
fn whole_seconds(key: &str, value: Duration) -> Verdict {
    require(value.subsec_nanos() == 0, key, "a whole number of seconds")
}

fn require(holds: bool, key: &str, right: &str) -> Verdict {
    if holds { Ok(()) } else { Err(Broken { key: key.to_owned(), right: right.to_owned() }) }
}
