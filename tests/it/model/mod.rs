//! Any sequence of what may be done to tokens, beside a small model of what is promised ([`contract`]).
//!
//! After every step all that the service says of every token there ever was must be what the model says: its check, its
//! introspection, the lists, and what the purge left. A sequence that fails is cut down to the steps that matter. `tests/long
//! model` tries many, the suite a few.

mod contract;
mod driver;

use std::{cell::Cell, time::Instant};

use contract::{DAY, HOUR, Kind, MINUTE, SECOND, Settings, State};
use driver::{Asker, Driver, Revocation};
use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    test_runner::{Config, TestRunner},
};

/// So many steps at most are one after the other.
const STEPS: usize = 80;
/// How long a sequence that fails is cut down, in milliseconds.
const SHRINK_FOR: u32 = 60_000;

/// Tokens are named by a number, counted from the newest; instants at which something changes by itself, from the next.
#[derive(Clone, Debug)]
enum Step {
    LogIn {
        user: usize,
        ttl: Option<i64>,
        idle_timeout: Option<i64>,
        refresh: bool,
    },
    Issue {
        user: usize,
        ttl: Option<i64>,
        idle_timeout: Option<i64>,
        by: Asker,
    },
    Renew {
        which: usize,
        ttl: Option<i64>,
        by: Asker,
    },
    Rotate {
        which: usize,
        overlap: i64,
        by: Asker,
    },
    Revoke {
        which: usize,
        how: Revocation,
    },
    RevokeAll {
        user: usize,
        kinds: &'static [Kind],
    },
    Disable {
        user: usize,
        disabled: bool,
    },
    Trade {
        which: usize,
    },
    Introspect {
        which: usize,
    },
    List {
        user: usize,
        state: Option<State>,
        kind: Option<Kind>,
    },
    Purge,
    Wait {
        millis: i64,
    },
    WaitUntil {
        edge: usize,
        offset: i64,
    },
    /// The service ends and begins anew on the same database.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // The administrator is left alone.
    let user = || 1..driver::USERS.len();
    let which = || prop_oneof![3 => 0_usize..3, 1 => 0_usize..30];
    let ttl = || select(vec![None, Some(SECOND), Some(MINUTE), Some(10 * MINUTE), Some(5 * HOUR), Some(DAY)]);
    let idle_timeout = || prop_oneof![2 => Just(None), 1 => select(vec![Some(MINUTE), Some(100 * SECOND), Some(HOUR)])];
    let by = || select(vec![Asker::Holder, Asker::Admin]);
    let overlap = select(vec![0, 0, SECOND, MINUTE, DAY]);
    let how = select(vec![Revocation::LogOut, Revocation::ById, Revocation::HandedIn, Revocation::OAuth]);
    let kinds: [&'static [Kind]; 4] = [&[Kind::Session], &[Kind::Api], &[Kind::Refresh], &[Kind::Session, Kind::Api]];
    let state = select(vec![None, Some(State::Active), Some(State::Expired), Some(State::Revoked)]);
    let kind = select(vec![None, Some(Kind::Session), Some(Kind::Api), Some(Kind::Refresh)]);
    let millis = prop_oneof![1..SECOND, (1..120_i64).prop_map(|seconds| seconds * SECOND), Just(DAY), Just(3 * DAY)];
    let step = prop_oneof![
        4 => (user(), ttl(), idle_timeout(), prop::bool::weighted(0.7))
            .prop_map(|(user, ttl, idle_timeout, refresh)| Step::LogIn { user, ttl, idle_timeout, refresh }),
        4 => (user(), ttl(), idle_timeout(), by())
            .prop_map(|(user, ttl, idle_timeout, by)| Step::Issue { user, ttl, idle_timeout, by }),
        3 => (which(), ttl(), by()).prop_map(|(which, ttl, by)| Step::Renew { which, ttl, by }),
        3 => (which(), overlap, by()).prop_map(|(which, overlap, by)| Step::Rotate { which, overlap, by }),
        3 => (which(), how).prop_map(|(which, how)| Step::Revoke { which, how }),
        1 => (user(), select(kinds.to_vec())).prop_map(|(user, kinds)| Step::RevokeAll { user, kinds }),
        2 => (user(), prop::bool::weighted(0.4)).prop_map(|(user, disabled)| Step::Disable { user, disabled }),
        8 => which().prop_map(|which| Step::Trade { which }),
        1 => which().prop_map(|which| Step::Introspect { which }),
        1 => (user(), state, kind).prop_map(|(user, state, kind)| Step::List { user, state, kind }),
        3 => Just(Step::Purge),
        3 => millis.prop_map(|millis| Step::Wait { millis }),
        6 => (0_usize..6, -1..=1_i64).prop_map(|(edge, offset)| Step::WaitUntil { edge, offset }),
        1 => Just(Step::Restart),
    ];
    vec(step, 1..=STEPS)
}

fn settings() -> impl Strategy<Value = Settings> {
    let retention = || select(vec![0, 10 * MINUTE, DAY]);
    let refresh_grace = select(vec![30 * SECOND, 0]);
    (retention(), retention(), refresh_grace).prop_map(|(retain_expired, retain_revoked, refresh_grace)| Settings {
        retain_expired,
        retain_revoked,
        refresh_grace,
    })
}

#[test]
fn whatever_is_done_the_service_says_what_is_promised() {
    let on_sqlite = std::env::var_os("DAYPASS_TEST_DATABASE_URL").is_none();
    let cases = std::env::var("DAYPASS_TEST_MODEL_CASES").ok().map(|cases| cases.parse().unwrap());
    let cases = cases.unwrap_or(if on_sqlite { 50 } else { 10 });
    let config = Config { cases, source_file: Some(file!()), max_shrink_time: SHRINK_FOR, ..Config::default() };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (began, counts) = (Instant::now(), Cell::new((0, 0, 0)));
    let result = TestRunner::new(config).run(&(settings(), steps()), |(settings, steps)| {
        runtime.block_on(async {
            let mut driver = Driver::start(settings).await;
            for step in &steps {
                driver.take(step).await;
                driver.compare().await;
            }
            let (all, tokens, compared) = counts.get();
            counts.set((all + steps.len(), tokens + driver.tokens(), compared + driver.compared));
        });
        Ok(())
    });
    if let Err(found) = result {
        panic!("{found}");
    }
    let (steps, tokens, compared) = counts.get();
    println!("{cases} cases, {steps} steps, {tokens} tokens, {compared} answers compared, {:?}", began.elapsed());
}
