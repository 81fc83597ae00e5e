//! Property: what `daypass config` prints, comments and all, is a file that says the same.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ipnet::IpNet;
use proptest::prelude::*;

use super::{
    AtLimit, Audit, Check, Config, Database, Durability, KindPolicy, Limits, Log, LogFormat, LogLevel, Maintenance,
    Oauth, Passwords, Tls, Tokens, load::from_file,
};

fn seconds(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_secs)
}

fn millis(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_millis)
}

fn policies() -> impl Strategy<Value = KindPolicy> {
    let at_limit = prop_oneof![Just(AtLimit::Refuse), Just(AtLimit::EvictOldest)];
    let idle_timeout = proptest::option::of(seconds(60..1_000_000));
    (1..315_576_000_u64, 0..u64::MAX, idle_timeout, any::<u32>(), at_limit).prop_map(
        |(longest, part, idle_timeout, per_user_limit, at_limit)| KindPolicy {
            ttl: Duration::from_secs(1 + part % longest),
            max_lifetime: Duration::from_secs(longest),
            idle_timeout,
            per_user_limit,
            at_limit,
        },
    )
}

fn tokens() -> impl Strategy<Value = Tokens> {
    let previous = proptest::collection::vec("[a-z]{2,8}", 0..3);
    ("[a-z]{2,8}", previous, policies(), policies(), policies(), policies()).prop_map(
        |(prefix, previous_prefixes, session, api, client, refresh)| Tokens {
            prefix,
            previous_prefixes,
            session,
            api,
            client,
            refresh,
        },
    )
}

fn databases() -> impl Strategy<Value = Database> {
    let durability = prop_oneof![Just(Durability::Full), Just(Durability::Normal)];
    let idle_timeout = proptest::option::of(millis(1000..1_000_000));
    (1..10_000_u32, 1..256_u32, millis(100..60_000), millis(100..60_000), idle_timeout, durability).prop_map(
        |(max_connections, sqlite_readers, acquire_timeout, statement_timeout, idle_timeout, sqlite_durability)| {
            Database {
                max_connections,
                sqlite_readers,
                acquire_timeout,
                statement_timeout,
                idle_timeout,
                sqlite_durability,
            }
        },
    )
}

fn checks() -> impl Strategy<Value = Check> {
    let stale_if_error = proptest::option::of(millis(0..1_000_000));
    (millis(0..60_000), 0..usize::MAX / 2, stale_if_error, seconds(0..1000), millis(1000..3_600_000)).prop_map(
        |(max_staleness, cache_entries, stale_if_error, proxy_max_age, last_used_precision)| Check {
            max_staleness,
            cache_entries,
            stale_if_error,
            proxy_max_age,
            last_used_precision,
        },
    )
}

fn passwords() -> impl Strategy<Value = Passwords> {
    (128..1_048_576_u32, 1..=16_u32, 1..=16_u32, 8..100_usize, 100..=4096_usize, 0..=64_usize).prop_map(
        |(memory_kib, iterations, parallelism, min_length, max_length, concurrency)| Passwords {
            memory_kib,
            iterations,
            parallelism,
            min_length,
            max_length,
            concurrency,
        },
    )
}

fn limits() -> impl Strategy<Value = Limits> {
    let times = (seconds(0..1_000_000), millis(1000..600_000));
    (any::<u32>(), any::<u32>(), times, 1024..16_777_216_u64, 10..1_000_000_usize).prop_map(
        |(
            login_per_minute_per_ip,
            login_failures_before_lock,
            (lock_for, request_timeout),
            max_body,
            max_connections,
        )| Limits {
            login_per_minute_per_ip,
            login_failures_before_lock,
            lock_for,
            max_body,
            request_timeout,
            max_connections,
        },
    )
}

fn maintenance() -> impl Strategy<Value = Maintenance> {
    let schedule = "[0-5]?[0-9] {1,3}[0-5]?[0-9] \\*/[1-9] (\\*|[1-9]) \\* (\\*|MON-FRI)";
    let retain = || (0..3_000_000_000_u64, 0..1_000_000_000_u32).prop_map(|(secs, nanos)| Duration::new(secs, nanos));
    let schedules = [schedule; 6];
    (schedules, retain(), retain(), 1..=100_000_u64, millis(1000..1_000_000), seconds(3600..1_000_000)).prop_map(
        |(schedules, retain_expired, retain_revoked, batch_size, max_run, keep_runs)| {
            let [
                purge_schedule,
                changes_schedule,
                counters_schedule,
                rotations_schedule,
                history_schedule,
                sqlite_schedule,
            ] = schedules;
            Maintenance {
                purge_schedule,
                changes_schedule,
                counters_schedule,
                rotations_schedule,
                history_schedule,
                sqlite_schedule,
                retain_expired,
                retain_revoked,
                batch_size,
                max_run,
                keep_runs,
            }
        },
    )
}

fn logs() -> impl Strategy<Value = Log> {
    let format = prop_oneof![Just(LogFormat::Auto), Just(LogFormat::Text), Just(LogFormat::Json)];
    let level = prop_oneof![
        Just(LogLevel::Error),
        Just(LogLevel::Warn),
        Just(LogLevel::Info),
        Just(LogLevel::Debug),
        Just(LogLevel::Trace)
    ];
    (format, level).prop_map(|(format, level)| Log { format, level })
}

fn tls() -> impl Strategy<Value = Tls> {
    let path = "[^\\p{Cc}]{1,20}";
    let files = (path, path).prop_map(|(certificate, key)| Tls { certificate, key });
    prop_oneof![Just(Tls::default()), files]
}

fn oauth() -> impl Strategy<Value = Oauth> {
    let strategy = (any::<bool>(), millis(0..1_000_000));
    strategy.prop_map(|(password_grant, refresh_grace)| Oauth { password_grant, refresh_grace })
}

fn configs() -> impl Strategy<Value = Config> {
    let public_url = prop_oneof![Just(String::new()), "https?://[a-z0-9.-]{1,20}(:[1-9][0-9]{0,3})?"];
    let database_url = "(sqlite://[^\\p{Cc}:@?]{0,20}|(postgres|postgresql|mysql|mariadb)://[a-z]{1,5}@h:[0-9]{4}/d)";
    let network = prop_oneof![
        (any::<[u8; 4]>(), 0..=32_u8).prop_map(|(ip, bits)| IpNet::new_assert(ip.into(), bits)),
        (any::<[u8; 16]>(), 0..=128_u8).prop_map(|(ip, bits)| IpNet::new_assert(ip.into(), bits)),
    ];
    let edges = (
        any::<(IpAddr, u16)>().prop_map(SocketAddr::from),
        public_url,
        database_url,
        proptest::collection::vec(network, 0..3),
        (tls(), millis(0..300_000)),
    );
    let audit = proptest::option::of(seconds(3600..1_000_000)).prop_map(|keep| Audit { keep });
    let sections = (databases(), tokens(), checks(), passwords(), oauth(), limits(), maintenance(), audit, logs());
    (edges, sections).prop_map(
        |((listen, public_url, database_url, trusted_proxies, (tls, shutdown_delay)), sections)| {
            let (database, tokens, check, passwords, oauth, limits, maintenance, audit, log) = sections;
            Config {
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
            }
        },
    )
}

proptest! {
    #[test]
    fn what_is_printed_is_a_file_that_says_the_same(config in configs()) {
        let mut loaded = from_file("").unwrap();
        loaded.config.clone_from(&config);
        let text = loaded.to_toml();
        let again = from_file(&text);
        prop_assert!(again.is_ok(), "{:?}\n{}", again, text);
        prop_assert_eq!(again.unwrap().config, config);
    }
}
