//! What a remote Daypass answered, remembered for a while.
//!
//! How old an answer may be is counted from when the question was sent, so that the time it took is part of the bound.

use std::{future::Future, time::Duration};

use entity::Timestamp;
use quick_cache::sync::Cache;

use super::{Settings, answer::Answer};
use crate::{clock::Clock, token::secret};

/// The digest of a token: tokens themselves are not kept.
type Key = [u64; 4];

pub(super) struct Memory {
    known: Cache<Key, Remembered>,
    clock: Clock,
    /// In milliseconds of uptime.
    keep: i64,
    keep_inactive: i64,
}

#[derive(Clone)]
struct Remembered {
    /// Nothing where it could not be found out.
    answer: Option<Answer>,
    /// When it came, in milliseconds of uptime, as is `until`.
    came: i64,
    until: i64,
}

impl Memory {
    pub(super) fn new(settings: &Settings) -> Self {
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self {
            known: Cache::new(settings.entries.max(1)),
            clock: settings.clock.clone(),
            keep: millis(settings.keep),
            keep_inactive: millis(settings.keep_inactive.min(settings.keep)),
        }
    }

    /// What is remembered of this token, or else what `ask` finds out; nothing where that cannot be. Of many who want to know
    /// the same at once one asks, and its answer is that of all.
    pub(super) async fn find<F>(&self, token: &str, ask: impl Fn() -> F) -> Option<Answer>
    where
        F: Future<Output = Option<Answer>>,
    {
        let arrived = self.clock.uptime();
        let key = secret::digest(token).words();
        loop {
            match self.known.get_value_or_guard_async(&key).await {
                Ok(known) if known.is_good(arrived, self.clock.uptime(), self.clock.now()) => return known.answer,
                Ok(old) => drop(self.known.remove_if(&key, |known| known.came == old.came)),
                Err(place) => {
                    let sent = self.clock.uptime();
                    let answer = ask().await;
                    let until = sent.saturating_add(self.how_long(answer.as_ref()));
                    drop(place.insert(Remembered { answer: answer.clone(), came: self.clock.uptime(), until }));
                    return answer;
                }
            }
        }
    }

    fn how_long(&self, answer: Option<&Answer>) -> i64 {
        match answer {
            Some(Answer::Active(_)) => self.keep,
            Some(Answer::Inactive | Answer::Refresh) => self.keep_inactive,
            None => 0,
        }
    }
}

impl Remembered {
    /// Whether it is an answer to somebody who came at `arrived`: to those who waited for it, whatever it is.
    fn is_good(&self, arrived: i64, uptime: i64, now: Timestamp) -> bool {
        let lives = match &self.answer {
            Some(Answer::Active(caller)) => now < caller.expires_at,
            Some(Answer::Inactive | Answer::Refresh) | None => true,
        };
        arrived < self.came || uptime < self.until && lives
    }
}
