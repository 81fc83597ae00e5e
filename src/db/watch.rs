//! Sees to it that a pool which lost its connections to silence is replaced, see [`super::pool`].

use std::time::{Duration, Instant};

use super::{Db, Engine};
use crate::error::Storage;

/// How often it looks.
pub const EVERY: Duration = Duration::from_secs(1);

/// After how many looks in a row that were not answered, nor anything else in between, the pool is suspected.
const SUSPECT: u32 = 2;

/// Looks for as long as it is polled.
pub async fn keep_watching(db: &Db) {
    let mut watch = Watch::default();
    loop {
        tokio::time::sleep(EVERY).await;
        watch.look(db).await;
    }
}

/// What was seen of a pool.
#[derive(Debug, Default)]
pub struct Watch {
    unanswered: u32,
    answered: u64,
    replaced: Option<Instant>,
}

impl Watch {
    /// Looks once; true if the pool does not answer where a new connection does, and was replaced for that.
    ///
    /// It is a database under load, or statements that wait for a lock, which look the same from here: those end within the
    /// deadline, so a pool lives for that long at least, and there are never more than twice as many connections as allowed.
    pub async fn look(&mut self, db: &Db) -> bool {
        let pool = db.writer();
        let answers = db.engine() == Engine::Sqlite
            || tokio::time::timeout(db.patience(), db.now()).await.is_ok_and(|answer| answer.is_ok());
        if answers || self.answered != pool.answered() {
            (self.unanswered, self.answered) = (0, pool.answered());
            return false;
        }
        self.unanswered += 1;
        let is_new = self.replaced.is_some_and(|replaced| replaced.elapsed() < db.deadline());
        if self.unanswered < SUSPECT || is_new || !pool.would_answer().await {
            return false;
        }
        self.unanswered = 0;
        if let Err(error) = pool.replace().await {
            tracing::error!(error = %Storage::from(error), "the connections to the database are dead, and there are no others");
            return false;
        }
        self.replaced = Some(Instant::now());
        tracing::warn!("the connections to the database did not answer and a new one did: all of them were replaced");
        true
    }
}
