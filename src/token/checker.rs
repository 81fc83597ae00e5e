//! What a check remembers, so that it costs almost nothing.
//!
//! Facts are remembered, never decisions: each hit compares the digest and judges expiry, kind and scopes anew. What is
//! remembered of a token is forgotten when it changes: at once where the change is made here ([`crate::write`]), within
//! `check.max_staleness` where it is made elsewhere ([`super::changes`]). While that look is overdue, nothing is answered
//! from memory.
//!
//! A read that is under way while its token changes must not be remembered: it holds a place in the memory from before
//! it begins, [`Checker::forget`] takes the place away, and without it the late answer is dropped.

use std::{
    fmt,
    hash::Hash,
    sync::atomic::{AtomicI64, Ordering},
};

use entity::{Life, Timestamp, TokenDigest};
use quick_cache::{
    DefaultHashBuilder, UnitWeighter,
    sync::{Cache, DefaultLifecycle, PlaceholderGuard},
};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{
    Held, HeldRef,
    changes::Seen,
    check::{Failure, judge},
    precision,
    reads::{self, Reads},
    secret::Presented,
    usage::Uses,
};
use crate::{
    app::App,
    clock::Clock,
    config,
    db::Db,
    error::{Error, Refusal, Storage},
    id,
    pause::pause,
};

/// What is remembered of tokens.
pub struct Checker {
    known: Cache<Uuid, HeldRef>,
    /// By the first half of the digest: what was refused, which nothing that is known explains.
    refused: Cache<u128, Refused>,
    /// In milliseconds of uptime: how old memory may be.
    max_staleness: i64,
    /// How much older while the database is away.
    stale_if_error: i64,
    /// When the last good look at what changed began.
    looked_at: AtomicI64,
    pub(super) seen: Mutex<Seen>,
    pub(super) uses: Uses,
    reads: Reads,
}

/// A place in memory; see [`Checker::begin`].
pub type Place<'a> = PlaceholderGuard<'a, Uuid, HeldRef, UnitWeighter, DefaultHashBuilder, NoLifecycle>;
type NoLifecycle = DefaultLifecycle<Uuid, HeldRef>;

/// What a token came to that does not work.
#[derive(Clone, Debug)]
enum Refused {
    /// It is none, and is taken for none until then.
    Unknown { until: i64 },
    /// It could not be found out, for those who were waiting for the same answer at that time.
    Unanswered { at: i64, why: Storage },
}

/// A token that never was cannot come to be, for its id carries the time of its making: it is asked for once a minute,
/// for the sake of a database that is restored from a copy under a running service.
const UNKNOWN_FOR: i64 = 60_000;
/// Younger ids may have been issued elsewhere and not have arrived here yet.
const YOUNG: i64 = 120_000;
/// How many refusals are remembered.
const MOST_REFUSED: usize = 100_000;

const NOT_YET: i64 = i64::MIN;

impl Checker {
    /// Remembers nothing yet, and starts to read (`reads::start`): it needs a runtime.
    pub fn new(settings: &config::Check, db: &Db, clock: &Clock) -> Self {
        let millis = |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self {
            known: bounded(settings.cache_entries),
            refused: bounded(settings.cache_entries.min(MOST_REFUSED)),
            max_staleness: millis(settings.max_staleness),
            stale_if_error: millis(settings.stale_if_error.unwrap_or_default()),
            looked_at: AtomicI64::new(NOT_YET),
            seen: Mutex::default(),
            uses: Uses::default(),
            reads: reads::start(db, clock),
        }
    }

    /// How many tokens are remembered.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// How many refusals are remembered.
    pub fn refusals(&self) -> usize {
        self.refused.len()
    }

    /// Forgets these tokens, and what is being read of them.
    pub fn forget(&self, tokens: &[Uuid]) {
        for id in tokens {
            self.known.remove(id);
        }
    }

    /// Forgets all, and what is being read.
    pub fn forget_everything(&self) {
        self.known.clear();
    }

    /// Whether memory may be answered from at this instant of uptime.
    pub fn is_fresh(&self, uptime: i64) -> bool {
        self.is_within(uptime, self.max_staleness)
    }

    fn is_within(&self, uptime: i64, staleness: i64) -> bool {
        let looked_at = self.looked_at.load(Ordering::Acquire);
        looked_at != NOT_YET && self.max_staleness > 0 && uptime - looked_at <= staleness
    }

    /// A place in memory for a token that is about to be read, or the token if it is known. Others wait for the place to
    /// be filled or dropped.
    pub async fn begin(&self, id: Uuid) -> Result<HeldRef, Place<'_>> {
        self.known.get_value_or_guard_async(&id).await
    }

    /// A look that began then saw all that had changed.
    pub(super) fn looked(&self, began: i64) {
        self.looked_at.fetch_max(began, Ordering::Release);
    }

    /// The token that was presented, if it works at `now`.
    pub async fn find(&self, app: &App, presented: &Presented, now: Timestamp) -> Result<HeldRef, Failure> {
        let uptime = app.clock.uptime();
        // Reads are boxed, so that a check which needs none does not carry the room they take.
        if !self.is_fresh(uptime) {
            return Box::pin(self.ask(app, presented, now, uptime)).await;
        }
        match self.recall(app, presented, now, uptime) {
            Some(recalled) => Ok(recalled?),
            None => Box::pin(self.confirm(app, presented, now, uptime)).await,
        }
    }

    /// What memory says of it, if anything.
    fn recall(
        &self,
        app: &App,
        presented: &Presented,
        now: Timestamp,
        uptime: i64,
    ) -> Option<Result<HeldRef, Refusal>> {
        if let Some(held) = self.known.get(&presented.id)
            && let Some(judged) = self.judge(app, &held, presented, now, uptime)
        {
            return Some(judged.map(|()| held));
        }
        match self.refused.get(&half(&presented.digest)) {
            Some(Refused::Unknown { until }) if uptime < until => Some(Err(Refusal::Unknown)),
            Some(_) | None => None,
        }
    }

    /// What memory says; nothing where the database has to be asked first: a secret may have been replaced elsewhere, and
    /// an idle token used elsewhere, without our having seen it yet.
    fn judge(
        &self,
        app: &App,
        held: &Held,
        presented: &Presented,
        now: Timestamp,
        uptime: i64,
    ) -> Option<Result<(), Refusal>> {
        match judge(held, &presented.digest, now, precision(app)) {
            Err(Refusal::Unknown) => None,
            Err(Refusal::Expired) if idled(held.life(), now) && !self.was_read_lately(held, uptime) => None,
            result => Some(result),
        }
    }

    fn was_read_lately(&self, held: &Held, uptime: i64) -> bool {
        uptime - held.read_at() < self.max_staleness
    }

    /// Without memory: the database is asked each time.
    async fn ask(&self, app: &App, presented: &Presented, now: Timestamp, uptime: i64) -> Result<HeldRef, Failure> {
        let held = match self.reads.ask(presented.id).await {
            Ok(held) => held,
            Err(error) => {
                let bound = self.max_staleness.saturating_add(self.stale_if_error);
                let old = self.known.get(&presented.id).filter(|_| self.stale_if_error > 0);
                let old = old.filter(|_| self.is_within(uptime, bound));
                // What would have to be confirmed cannot be now.
                let old = old.filter(|old| self.judge(app, old, presented, now, uptime).is_some());
                Some(old.ok_or(Error::Storage(error))?)
            }
        };
        let held = held.ok_or(Refusal::Unknown)?;
        judge(&held, &presented.digest, now, precision(app))?;
        Ok(held)
    }

    /// Asks the database what memory does not know; once, however many wait for the same token.
    async fn confirm(&self, app: &App, presented: &Presented, now: Timestamp, uptime: i64) -> Result<HeldRef, Failure> {
        let key = half(&presented.digest);
        let first = loop {
            match self.refused.get_value_or_guard_async(&key).await {
                Err(first) => break first,
                Ok(Refused::Unknown { until }) if uptime < until => return Err(Refusal::Unknown.into()),
                Ok(Refused::Unanswered { at, why }) if uptime <= at => return Err(Error::Storage(why).into()),
                Ok(_) => drop(self.refused.remove_if(&key, |refused| refused.is_over(uptime))),
            }
        };
        let found = match self.read(app, presented, now, uptime).await {
            Ok(found) => found,
            Err(why) => {
                let at = app.clock.uptime();
                drop(first.insert(Refused::Unanswered { at, why: why.clone() }));
                return Err(Error::Storage(why).into());
            }
        };
        let result = match &found {
            Some(held) => judge(held, &presented.digest, now, precision(app)),
            None => Err(Refusal::Unknown),
        };
        if let Err(Refusal::Unknown) = result {
            let is_young = found.is_some() || now.millis_since(id::made_at(presented.id)) < YOUNG;
            let until = uptime + if is_young { self.max_staleness } else { UNKNOWN_FOR };
            drop(first.insert(Refused::Unknown { until }));
        }
        result?;
        Ok(found.ok_or(Refusal::Unknown)?)
    }

    /// The token as the database has it, remembered unless it changes meanwhile.
    async fn read(
        &self,
        app: &App,
        presented: &Presented,
        now: Timestamp,
        uptime: i64,
    ) -> Result<Option<HeldRef>, Storage> {
        loop {
            if let Some(held) = self.known.get(&presented.id) {
                if self.judge(app, &held, presented, now, uptime).is_some() {
                    // Somebody else was faster.
                    return Ok(Some(held));
                }
                if judge(&held, &presented.digest, now, precision(app)) == Err(Refusal::Unknown) {
                    // Its secret is another one: whoever guesses must not make others forget what they know.
                    let read = self.reads.ask(presented.id).await?;
                    let explains =
                        |read: &HeldRef| judge(read, &presented.digest, now, precision(app)) != Err(Refusal::Unknown);
                    if read.as_ref().is_none_or(explains) {
                        self.known.remove(&presented.id);
                    }
                    return Ok(read);
                }
                self.known.remove(&presented.id);
            }
            match self.begin(presented.id).await {
                // What was being read for somebody else may be from before a change that made this token: it is judged
                // like anything that is known, and asked for if it does not explain it.
                Ok(_) => {}
                Err(place) => {
                    let held = self.reads.ask(presented.id).await?;
                    pause!(app.db, Read);
                    if let Some(held) = &held {
                        // Refused where the token changed meanwhile, which is as it should be.
                        drop(place.insert(HeldRef::clone(held)));
                    }
                    return Ok(held);
                }
            }
        }
    }
}

/// A cache of so many entries, without room for all of them from the start.
fn bounded<K: Eq + Hash, V: Clone>(entries: usize) -> Cache<K, V> {
    const ROOM: usize = 10_000;
    let most = u64::try_from(entries).unwrap_or(u64::MAX);
    Cache::with(entries.min(ROOM), most, UnitWeighter, DefaultHashBuilder::default(), DefaultLifecycle::default())
}

impl Refused {
    fn is_over(&self, uptime: i64) -> bool {
        match self {
            Self::Unknown { until } => *until <= uptime,
            Self::Unanswered { at, .. } => *at < uptime,
        }
    }
}

/// Whether it is for want of use that the token is over.
fn idled(life: Life, now: Timestamp) -> bool {
    now < life.ttl_expires_at
}

fn half(digest: &TokenDigest) -> u128 {
    let [high, low, ..] = digest.words();
    u128::from(high) << 64 | u128::from(low)
}

impl fmt::Debug for Checker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Checker(..)")
    }
}
