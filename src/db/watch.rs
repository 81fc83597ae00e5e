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
    /// Looks once; true if the pool was replaced: it lost places to statements that were given up, or does not answer at all, and a
    /// new connection does.
    ///
    /// A database under load, or statements that wait for a lock, may look the same from here: those end within the deadline, so a
    /// pool lives for that long at least, and there are never more than twice as many connections as allowed.
    pub async fn look(&mut self, db: &Db) -> bool {
        let pool = db.writer();
        if db.engine() == Engine::Sqlite {
            return false;
        }
        // Beside this, so that the question comes to its own end.
        let asked = db.clone();
        let asking = tokio::spawn(async move { asked.now().await });
        let answer = tokio::time::timeout(db.patience(), asking).await;
        let answers = matches!(answer, Ok(Ok(Ok(_))));
        if answers || self.answered != pool.answered() {
            (self.unanswered, self.answered) = (0, pool.answered());
        } else {
            self.unanswered += 1;
        }
        let is_new = self.replaced.is_some_and(|replaced| replaced.elapsed() < db.deadline());
        let is_dead = self.unanswered >= SUSPECT;
        if !(is_dead || pool.lost_some()) || is_new || !pool.would_answer().await {
            return false;
        }
        if let Err(error) = pool.replace(is_dead).await {
            tracing::error!(error = %Storage::from(error), "the connections to the database are dead, and there are no others");
            return false;
        }
        (self.unanswered, self.replaced) = (0, Some(Instant::now()));
        tracing::warn!("connections to the database did not answer and a new one did: all of them were replaced");
        true
    }
}
