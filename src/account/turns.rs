//! One attempt at a time for each account, and for each address that is known to it.
//!
//! An attempt counts before its password is hashed, so that fifty guesses at once count as fifty. Without waiting their
//! turns, fifty right passwords at once would too, and lock the account of somebody whose workers all start together.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::OwnedMutexGuard;

use crate::error::Error;

/// Who is at it, by what is counted: an account, or one of its known addresses.
#[derive(Debug, Default)]
pub struct Turns(Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>);

/// How many may wait for one account; whoever comes then is told to come back.
const QUEUE: usize = 64;
/// More names than these, and those that nobody waits for any more are dropped.
const MANY: usize = 1000;

impl Turns {
    /// Waits until no other attempt on this account is under way here.
    pub async fn of(&self, counted: &str) -> Result<OwnedMutexGuard<()>, Error> {
        let queue = self.queue(counted);
        if Arc::strong_count(&queue) > QUEUE {
            return Err(Error::Busy);
        }
        Ok(queue.lock_owned().await)
    }

    fn queue(&self, counted: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if queues.len() > MANY {
            queues.retain(|_, queue| queue.strong_count() > 0);
        }
        let queue = queues.entry(counted.to_owned()).or_default();
        queue.upgrade().unwrap_or_else(|| {
            let fresh = Arc::default();
            *queue = Arc::downgrade(&fresh);
            fresh
        })
    }
}
