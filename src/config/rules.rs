//! Which values are allowed. One plain check a rule; each names the key and says what would be right.

use std::{fmt::Display, net::Ipv6Addr, ops::RangeInclusive, time::Duration};

use super::{
    Check, Config, Database, KindPolicy, Limits, Maintenance, Passwords, Tls, Tokens,
    database_url::has_hidden_password,
    schedule::Schedule,
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
    duration("shutdown_delay", config.shutdown_delay, Duration::ZERO..=5 * MINUTE)?;
    database(&config.database)?;
    tls(&config.tls)?;
    tokens(&config.tokens)?;
    checks(&config.check)?;
    passwords(&config.passwords)?;
    limits(&config.limits)?;
    maintenance(&config.maintenance)?;
    // Nothing is kept for no time at all by mistake: `0s` means no limit elsewhere.
    let keep = config.audit.keep.unwrap_or(HOUR);
    require(keep >= HOUR, "audit.keep", "\"\" to keep events for ever, or at least \"1h\"")
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
    require(!has_hidden_password(url), key, "the whole URL: *** is only printed in place of the password")
}

fn database(database: &Database) -> Verdict {
    number("database.max_connections", database.max_connections, 1..=10_000)?;
    number("database.sqlite_readers", database.sqlite_readers, 1..=256)?;
    duration("database.acquire_timeout", database.acquire_timeout, Duration::from_millis(100)..=MINUTE)?;
    duration("database.statement_timeout", database.statement_timeout, Duration::from_millis(100)..=HOUR)?;
    at_least("database.idle_timeout", database.idle_timeout.unwrap_or(SECOND), SECOND)
}

/// An operator who sets one counts on both: half of it must not be plain HTTP.
fn tls(tls: &Tls) -> Verdict {
    let files = [("tls.certificate", &tls.certificate), ("tls.key", &tls.key)];
    for (key, path) in files {
        require(!path.contains(char::is_control), key, "the path of a file, on one line")?;
    }
    let half = tls.certificate.is_empty() != tls.key.is_empty();
    for ((key, path), (other, _)) in files.into_iter().zip(files.into_iter().rev()) {
        require(!(half && path.is_empty()), key, &format!("the path of a file in PEM, for {other} is set"))?;
    }
    Ok(())
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
    number("limits.max_connections", limits.max_connections, 10..=1_000_000)?;
    duration("limits.request_timeout", limits.request_timeout, SECOND..=10 * MINUTE)
}

fn maintenance(maintenance: &Maintenance) -> Verdict {
    for (key, schedule) in maintenance.schedules() {
        let right = "a cron expression on one line, such as \"0 */5 * * * *\"";
        require(!schedule.contains(char::is_control), key, right)?;
        Schedule::parse(schedule).map_err(|bad| Broken { key: key.to_owned(), right: bad.to_string() })?;
    }
    number("maintenance.batch_size", maintenance.batch_size, 1..=100_000)?;
    at_least("maintenance.max_run", maintenance.max_run, SECOND)?;
    at_least("maintenance.keep_runs", maintenance.keep_runs, HOUR)
}

fn number<T: Copy + PartialOrd + Display>(key: &str, value: T, range: RangeInclusive<T>) -> Verdict {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::layers::Layers;

    fn check_file(text: &str) -> Verdict {
        let mut layers = Layers::defaults().unwrap();
        layers.file("daypass.toml", text).unwrap();
        check(&layers.config().unwrap())
    }

    /// Each value of `key` is allowed.
    fn allows(key: &str, values: &[&str]) {
        for value in values {
            let verdict = check_file(&format!("{key} = {value}"));
            assert!(verdict.is_ok(), "{key} = {value}: {verdict:?}");
        }
    }

    /// Each value of `key` is refused, by that name.
    fn refuses(key: &str, values: &[&str]) {
        for value in values {
            let broken = check_file(&format!("{key} = {value}")).expect_err(value);
            assert_eq!(broken.key, key, "{value}");
        }
    }

    #[test]
    fn a_public_url_is_a_scheme_and_a_host() {
        let key = "public_url";
        allows(key, &["''", "'https://id.example.org'", "'https://id.example.org/'", "'http://127.0.0.1:8000'"]);
        allows(key, &["'http://[::1]:8000'", "'http://[::1]'", "'http://my_host'"]);
        refuses(key, &["'id.example.org'", "'ftp://x'", "'https://'", "'https:///'", "'https://x/y'", "'https://x//'"]);
        refuses(key, &["'https://x?y'", "'https://x#y'", "'https://u@x'", "'https://u:p@x'", "'https://x y'"]);
        refuses(key, &["'https://x:'", "'https://x:0'", "'https://x:+1'", "'https://x:65536'", "'https://[x]'"]);
    }

    #[test]
    fn a_database_url_has_a_scheme_we_know() {
        let key = "database_url";
        allows(key, &["'sqlite://x.db'", "'sqlite::memory:'", "'postgres://h/d'", "'postgresql://u:p@h/d'"]);
        allows(key, &["'mysql://h/d'", "'mariadb://h/d'"]);
        refuses(key, &["''", "'x.db'", "'oracle://h'", "'postgres:h'", "'mysql'", r#""sqlite://x\ny.db""#]);
    }

    #[test]
    fn a_hidden_password_is_no_password() {
        refuses("database_url", &["'postgres://u:***@h/d'", "'postgres://h/d?password=***'", "'postgres://h:***'"]);
        allows("database_url", &["'postgres://u:***x@h/d'", "'sqlite://***.db'"]);
    }

    #[test]
    fn the_database_has_connections_and_time() {
        for key in ["database.max_connections", "database.sqlite_readers"] {
            allows(key, &["1", "256"]);
            refuses(key, &["0", "10001"]);
        }
        allows("database.acquire_timeout", &["'100ms'", "'1m'"]);
        refuses("database.acquire_timeout", &["'99ms'", "'61s'"]);
        allows("database.statement_timeout", &["'100ms'", "'1h'"]);
        refuses("database.statement_timeout", &["'99ms'", "'61m'"]);
        allows("database.idle_timeout", &["''", "'1s'"]);
        refuses("database.idle_timeout", &["'0s'", "'999ms'"]);
    }

    #[test]
    fn the_audit_trail_is_kept_for_a_while_or_for_ever() {
        allows("audit.keep", &["''", "'1h'", "'10y'"]);
        refuses("audit.keep", &["'0s'", "'59m'"]);
    }

    #[test]
    fn tls_takes_two_files() {
        assert!(check_file("[tls]\ncertificate = 'x.pem'\nkey = 'y.pem'").is_ok());
        for (key, other) in [("tls.certificate", "tls.key"), ("tls.key", "tls.certificate")] {
            allows(key, &["''"]);
            refuses(key, &[r#""x\ny.pem""#]);
            let broken = check_file(&format!("{other} = 'x.pem'")).unwrap_err();
            assert_eq!(broken.key, key);
            assert_eq!(broken.right, format!("the path of a file in PEM, for {other} is set"));
        }
    }

    #[test]
    fn a_prefix_is_2_to_8_lower_case_letters() {
        allows("tokens.prefix", &["'dp'", "'abcdefgh'"]);
        refuses("tokens.prefix", &["''", "'d'", "'abcdefghi'", "'Dp'", "'d1'", "'d_'", "'äö'"]);
        allows("tokens.previous_prefixes", &["[]", "['ab', 'abc']"]);
        refuses("tokens.previous_prefixes", &["['ab', 'x']", "['AB']", "['']"]);
    }

    #[test]
    fn a_ttl_is_between_a_second_and_the_longest_life() {
        for (kind, longest) in [("session", "30d"), ("api", "365d"), ("client", "24h"), ("refresh", "90d")] {
            let key = format!("tokens.{kind}.ttl");
            allows(&key, &["'1s'", &format!("'{longest}'")]);
            refuses(&key, &["'0s'", "'999ms'", "'1500ms'", &format!("'{longest} 1s'")]);
        }
        let broken = check_file("tokens.session.max_lifetime = '5h'").unwrap_err();
        assert_eq!(broken.key, "tokens.session.ttl");
        assert_eq!(broken.right, "from \"1s\" to tokens.session.max_lifetime, which is \"5h\"");
    }

    #[test]
    fn no_token_lives_longer_than_ten_years() {
        for kind in ["session", "api", "client", "refresh"] {
            let key = format!("tokens.{kind}.max_lifetime");
            allows(&key, &["'10y'", "'3650d'"]);
            refuses(&key, &["'10y 1s'", "'0s'", "'90d 1ms'"]);
        }
    }

    #[test]
    fn an_idle_timeout_is_none_or_at_least_a_minute() {
        for kind in ["session", "api", "client", "refresh"] {
            let key = format!("tokens.{kind}.idle_timeout");
            allows(&key, &["''", "'60s'", "'30m'"]);
            refuses(&key, &["'0s'", "'59s'", "'60500ms'"]);
        }
    }

    #[test]
    fn a_user_limit_is_any_number() {
        allows("tokens.session.per_user_limit", &["0", "1", "4294967295"]);
    }

    #[test]
    fn checks_may_be_stale_for_a_minute_at_most() {
        allows("check.max_staleness", &["'0s'", "'500ms'", "'60s'"]);
        refuses("check.max_staleness", &["'60001ms'"]);
        allows("check.last_used_precision", &["'1s'", "'1h'"]);
        refuses("check.last_used_precision", &["'0s'", "'999ms'", "'3601s'"]);
        allows("check.proxy_max_age", &["'0s'", "'10s'"]);
        refuses("check.proxy_max_age", &["'500ms'"]);
        allows("check.stale_if_error", &["''", "'0s'", "'5m'"]);
        allows("check.cache_entries", &["0", "1", "9223372036854775807"]);
    }

    #[test]
    fn hashing_has_a_cost_that_argon2_takes() {
        allows("passwords.parallelism", &["1", "16"]);
        refuses("passwords.parallelism", &["0", "17", "4294967295"]);
        allows("passwords.iterations", &["1", "16"]);
        refuses("passwords.iterations", &["0", "17"]);
        allows("passwords.memory_kib", &["8", "1048576"]);
        refuses("passwords.memory_kib", &["7", "1048577"]);
        assert!(check_file("[passwords]\nparallelism = 4\nmemory_kib = 32").is_ok());
        let broken = check_file("[passwords]\nparallelism = 4\nmemory_kib = 31").unwrap_err();
        assert_eq!((broken.key.as_str(), broken.right.as_str()), ("passwords.memory_kib", "from 32 to 1048576"));
        allows("passwords.concurrency", &["0", "64"]);
        refuses("passwords.concurrency", &["65"]);
    }

    #[test]
    fn a_password_has_8_to_4096_characters() {
        allows("passwords.min_length", &["8", "1024"]);
        refuses("passwords.min_length", &["0", "7", "1025"]);
        allows("passwords.max_length", &["8", "4096"]);
        refuses("passwords.max_length", &["7", "4097"]);
    }

    #[test]
    fn a_stop_is_announced_for_minutes_at_most() {
        allows("shutdown_delay", &["'0s'", "'1500ms'", "'5m'"]);
        refuses("shutdown_delay", &["'301s'"]);
    }

    #[test]
    fn requests_are_bounded() {
        allows("limits.max_body", &["'1KiB'", "'1024B'", "'16MiB'"]);
        refuses("limits.max_body", &["'1023B'", "'17MiB'"]);
        allows("limits.request_timeout", &["'1s'", "'10m'"]);
        refuses("limits.request_timeout", &["'999ms'", "'601s'"]);
        allows("limits.max_connections", &["10", "1000000"]);
        refuses("limits.max_connections", &["0", "9", "1000001"]);
        allows("limits.lock_for", &["'0s'", "'1h'"]);
        refuses("limits.lock_for", &["'1500ms'"]);
    }

    #[test]
    fn a_purge_has_a_schedule_and_a_size() {
        refuses("maintenance.purge_schedule", &["''", "' '", r#""* * *\n* *""#, "'tomorrow'", "'0 0 0 31 2 *'"]);
        allows("maintenance.purge_schedule", &["'*/5 * * * *'", "'0 0 3 * * MON-FRI'"]);
        allows("maintenance.batch_size", &["1", "100000"]);
        refuses("maintenance.batch_size", &["0", "100001"]);
        allows("maintenance.max_run", &["'1s'"]);
        refuses("maintenance.max_run", &["'999ms'"]);
        allows("maintenance.keep_runs", &["'1h'"]);
        refuses("maintenance.keep_runs", &["'59m'"]);
        allows("maintenance.retain_expired", &["'0s'", "'365d'"]);
        allows("maintenance.retain_revoked", &["'0s'", "'365d'"]);
    }

    #[test]
    fn every_choice_can_be_made() {
        allows("log.format", &["'auto'", "'text'", "'json'"]);
        allows("log.level", &["'error'", "'warn'", "'info'", "'debug'", "'trace'"]);
        allows("tokens.session.at_limit", &["'refuse'", "'evict_oldest'"]);
        allows("database.sqlite_durability", &["'full'", "'normal'"]);
    }
}
