//! A run under way: its batches, and what stops it between two of them.

use std::time::{Duration, Instant};

use entity::maintenance_run::{Model as Run, Outcome};
use sea_orm::{ConnectionTrait, DbErr, StatementBuilder};
use tokio_util::sync::CancellationToken;

use super::{history, lease::Lease};
use crate::{app::App, telemetry};

/// How long a batch should take: nobody waits behind it for longer, and it is much longer than what each costs besides.
const TARGET: Duration = Duration::from_millis(25);

/// How many rows the first batch of a run takes, before it is known how long that is.
const FIRST: u64 = 250;

/// Is told of a run after each batch.
pub trait Progress: Send {
    /// One more batch is done.
    fn batch(&mut self, run: &Run);
}

impl Progress for () {
    fn batch(&mut self, _run: &Run) {}
}

/// Why a run ends before its work is done.
#[derive(Debug)]
pub enum Halt {
    /// It has to.
    Ended(Outcome),
    /// The database failed.
    Failed(DbErr),
}

impl From<DbErr> for Halt {
    fn from(error: DbErr) -> Self {
        Self::Failed(error)
    }
}

/// Which count of the run a batch adds to.
pub type Count = fn(&mut Run) -> &mut i64;

/// What the run did away with besides tokens.
pub fn other(run: &mut Run) -> &mut i64 {
    &mut run.deleted_other
}

/// A run under way.
pub struct Task<'a> {
    /// What it works on.
    pub app: &'a App,
    /// Its record.
    pub run: &'a mut Run,
    /// Where an earlier run of the job left off, and where the next shall go on.
    pub position: Option<String>,
    lease: &'a mut Lease,
    began: Instant,
    budget: Option<Duration>,
    size: u64,
    progress: &'a mut dyn Progress,
}

impl<'a> Task<'a> {
    /// A run that begins now, and may take as long as `budget`, if it has one.
    pub fn new(
        app: &'a App,
        run: &'a mut Run,
        lease: &'a mut Lease,
        budget: Option<Duration>,
        position: Option<String>,
        progress: &'a mut dyn Progress,
    ) -> Self {
        let size = app.config.maintenance.batch_size.min(FIRST);
        Self { app, run, position, lease, began: Instant::now(), budget, size, progress }
    }

    /// Carries out a statement, made anew for so many rows and a lease that is held, until it finds fewer than that.
    pub async fn drain<S: StatementBuilder>(
        &mut self,
        count: Count,
        statement: impl Fn(&App, &Lease, u64) -> S,
    ) -> Result<(), Halt> {
        loop {
            self.may_go_on().await?;
            if self.batch(count, &statement).await? {
                return Ok(());
            }
        }
    }

    /// Carries it out once at least, however late it is, and then as long as there is time: what is little must not wait for
    /// ever behind what never ends.
    pub async fn drain_a_little<S: StatementBuilder>(
        &mut self,
        count: Count,
        statement: impl Fn(&App, &Lease, u64) -> S,
    ) -> Result<(), Halt> {
        self.may_begin().await?;
        if self.batch(count, &statement).await? {
            return Ok(());
        }
        self.drain(count, statement).await
    }

    /// One transaction's worth; tells whether it was the last. The next is made to take [`TARGET`].
    async fn batch<S: StatementBuilder>(
        &mut self,
        count: Count,
        statement: &impl Fn(&App, &Lease, u64) -> S,
    ) -> Result<bool, Halt> {
        let (size, cap) = (self.size, self.app.config.maintenance.batch_size);
        let statement = statement(self.app, self.lease, size);
        let began = Instant::now();
        let rows = self.app.db.writer().execute(&statement).await?.rows_affected();
        let took = began.elapsed();
        *count(self.run) += i64::try_from(rows).unwrap_or(i64::MAX);
        self.took(took);
        self.size = next_size(size, took, rows == size).clamp(1, cap);
        if rows == size {
            tokio::task::yield_now().await;
            return Ok(false);
        }
        // It may have found nothing because the lease is gone.
        self.renew().await?;
        Ok(true)
    }

    /// Notes a batch.
    pub fn took(&mut self, took: Duration) {
        self.run.batches += 1;
        self.run.slowest_batch_ms = self.run.slowest_batch_ms.max(i64::try_from(took.as_millis()).unwrap_or(i64::MAX));
        telemetry::batch(&self.run.job, took);
        self.progress.batch(self.run);
    }

    /// Whether another batch may begin, the run's time included; a first one always may, or there would be no end of it.
    pub async fn may_go_on(&mut self) -> Result<(), Halt> {
        self.may_begin().await?;
        match self.budget {
            Some(budget) if self.run.batches > 0 && self.began.elapsed() >= budget => Err(Halt::Ended(Outcome::Budget)),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether another batch may begin, however long it took so far.
    pub async fn may_begin(&mut self) -> Result<(), Halt> {
        if self.stop().is_cancelled() {
            return Err(Halt::Ended(Outcome::Cancelled));
        }
        if !self.lease.is_due() {
            return Ok(());
        }
        self.renew().await?;
        // Whoever looks meanwhile sees how far it is.
        Ok(history::update(self.app.db.writer(), self.run.clone()).await?)
    }

    async fn renew(&mut self) -> Result<(), Halt> {
        if !self.lease.renew(&self.app.db).await? {
            return Err(Halt::Ended(Outcome::LostLease));
        }
        Ok(())
    }

    fn stop(&self) -> &CancellationToken {
        &self.app.maintenance.stop
    }
}

/// Grows or shrinks a batch towards [`TARGET`], by no more than twice or half at once. One that was not full tells nothing of
/// how long a full one takes, unless it took too long already.
pub(super) fn next_size(size: u64, took: Duration, full: bool) -> u64 {
    if !full && took <= TARGET {
        return size;
    }
    let factor = TARGET.as_secs_f64() / took.as_secs_f64().max(0.000_1);
    #[expect(clippy::cast_precision_loss, reason = "sizes are small")]
    let wanted = size as f64 * factor.clamp(0.5, 2.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sizes are small and positive")]
    let wanted = wanted as u64;
    wanted.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_grow_and_shrink_towards_their_target() {
        let ms = Duration::from_millis;
        assert_eq!(next_size(1000, ms(25), true), 1000);
        assert_eq!(next_size(1000, ms(50), true), 500);
        assert_eq!(next_size(1000, ms(20), true), 1250);
        assert_eq!(next_size(1000, ms(500), true), 500, "by half at most");
        assert_eq!(next_size(1000, ms(1), true), 2000, "twice at most");
        assert_eq!(next_size(1000, ms(1), false), 1000, "what was not full says nothing");
        assert_eq!(next_size(1, ms(500), false), 1);
    }
}
