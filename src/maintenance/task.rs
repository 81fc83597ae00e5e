//! A run under way: its batches, and what stops it between two of them.

use std::time::{Duration, Instant};

use entity::{
    Timestamp,
    maintenance_run::{Model as Run, Outcome, Trigger},
    token,
};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Statement, StatementBuilder};

use super::{history, lease::Lease, sanity::Reading};
use crate::{app::App, db::dialect, pause::pause, telemetry};

/// How long a batch should take: nobody waits behind it for longer, and it is much longer than what each costs besides.
const TARGET: Duration = Duration::from_millis(25);

/// How many rows the first batch of a run takes, before it is known how long that is.
pub(super) const FIRST: u64 = 250;

/// How few they may become where even one takes long, such as on a slow disk: else it would never be done.
const LEAST: u64 = 50;

/// It rests for one part in so many of what a batch took.
const REST: u32 = 4;

/// After how many batches of a long run it writes `SQLite`'s log to the file, see [`crate::db::log`].
const BATCHES_PER_LOG: i64 = 12;

/// How long a command line on an `SQLite` file goes on before it makes way for others, and for how long.
const HELD: Duration = Duration::from_millis(500);
const WAY: Duration = Duration::from_millis(110);

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
    /// With this outcome: its time is up, it was asked to stop, its lease is lost, or the clock jumped.
    Ended(Outcome),
    /// The database failed.
    Failed(DbErr),
}

impl From<DbErr> for Halt {
    fn from(error: DbErr) -> Self {
        Self::Failed(error)
    }
}

/// Which counter of the run a batch adds to.
pub type Counter = fn(&mut Run) -> &mut i64;

/// What the run did away with besides tokens.
pub fn other(run: &mut Run) -> &mut i64 {
    &mut run.deleted_other
}

/// What a statement is made for.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// The time by which things are stale.
    pub now: Timestamp,
    /// How many rows it may take.
    pub size: u64,
    /// Before this there is nothing left, as far as is known: see [`dialect::counting`].
    pub from: Option<Timestamp>,
}

/// Who else writes to an `SQLite` file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    /// Whose writes they are does not matter: this process is a server, and they are its own.
    Own,
    /// Nobody so far; with what the file told of it last.
    Unseen(Option<i64>),
    /// Somebody does.
    Seen,
}

/// A run under way.
pub struct Task<'a> {
    /// What it works on.
    pub app: &'a App,
    /// Its record.
    pub run: &'a mut Run,
    /// The right to go on.
    pub lease: &'a mut Lease,
    began: Instant,
    /// Since when it has not made way for others.
    held: Instant,
    /// Where the next batch begins, if that is known.
    from: Option<Timestamp>,
    /// The clock when it was found right.
    believed: Reading,
    budget: Option<Duration>,
    size: u64,
    /// Whether the database knows that much is to be written.
    announced: bool,
    /// Who else writes to an `SQLite` file, beside a command line.
    others: Others,
    /// How many batches there had been when the log was last written.
    logged: i64,
    progress: &'a mut dyn Progress,
}

impl<'a> Task<'a> {
    /// A run that begins now by a clock that is right, and may take as long as `budget`, if it has one.
    pub fn new(
        app: &'a App,
        run: &'a mut Run,
        lease: &'a mut Lease,
        believed: Reading,
        budget: Option<Duration>,
        progress: &'a mut dyn Progress,
    ) -> Self {
        let size = app.config.maintenance.batch_size.min(FIRST);
        let trigger = run.trigger;
        Self {
            app,
            run,
            lease,
            began: Instant::now(),
            held: Instant::now(),
            from: None,
            believed,
            budget,
            size,
            announced: false,
            others: if trigger == Trigger::Cli { Others::Unseen(None) } else { Others::Own },
            logged: 0,
            progress,
        }
    }

    /// Carries out a statement, made anew for so many rows, until it finds fewer than that.
    pub async fn drain<S: StatementBuilder>(
        &mut self,
        count: Counter,
        statement: impl Fn(&App, Batch) -> S,
    ) -> Result<(), Halt> {
        self.drain_in_order(count, None, statement).await
    }

    /// The same for rows that are taken in the order of a column of the tokens: each batch begins where the last one ended.
    pub async fn drain_in_order<S: StatementBuilder>(
        &mut self,
        count: Counter,
        column: Option<token::Column>,
        statement: impl Fn(&App, Batch) -> S,
    ) -> Result<(), Halt> {
        self.from = None;
        while {
            self.may_go_on()?;
            self.batch(count, column, &statement).await?
        } {}
        Ok(())
    }

    /// Carries it out once at least, however late it is, and then as long as there is time: what is little must not wait for
    /// ever behind what never ends.
    pub async fn drain_a_little<S: StatementBuilder>(
        &mut self,
        count: Counter,
        statement: impl Fn(&App, Batch) -> S,
    ) -> Result<(), Halt> {
        self.may_begin()?;
        if self.batch(count, None, &statement).await? { self.drain(count, statement).await } else { Ok(()) }
    }

    /// One batch of rows; tells whether there may be another. The next is made to take [`TARGET`].
    async fn batch<S: StatementBuilder>(
        &mut self,
        count: Counter,
        column: Option<token::Column>,
        statement: &impl Fn(&App, Batch) -> S,
    ) -> Result<bool, Halt> {
        let (size, cap) = (self.size, self.app.config.maintenance.batch_size);
        let batch = Batch { now: self.now(), size, from: self.from };
        let statement = self.app.db.writer().get_database_backend().build(&statement(self.app, batch));
        pause!(self.app.db, Batch);
        let engine = self.app.db.engine();
        let counting = column.and_then(|column| dialect::counting(engine, &statement, column));
        let counted = Counted { statement: counting.unwrap_or(statement), count };
        let ((rows, last), took) = self.transact(counted).await?;
        self.from = last.or(self.from);
        self.size = next_size(size, took, rows == size, cap);
        // A batch may be short of rows that changed while it was chosen.
        let more = rows > size / 2;
        if more {
            self.make_way(took).await;
        }
        Ok(more)
    }

    /// The time by which things are stale: read anew for each batch, as a run may be long, and never ahead of how time went by
    /// since the clock was found right. One that is set while a run goes on deletes nothing that lives.
    pub(super) fn now(&self) -> Timestamp {
        self.believed.now(&self.app.clock)
    }

    /// Rests between two batches, so that a core that others need is not taken whole; and sees to `SQLite`'s log, for which
    /// writers would have to wait in their commits.
    ///
    /// A command line beside a server on an `SQLite` file leaves the log to its own commits: what these did not do, the server's
    /// would have to. And it rests for longer now and then: the server's writers look every 100 ms at most whether they may, and
    /// would seldom find that in the moment between two batches. It takes itself to be alone until somebody writes: the first to do
    /// so waits for as long as that takes, and may find the log of a dozen batches.
    pub(super) async fn make_way(&mut self, took: Duration) {
        let db = &self.app.db;
        if !self.announced {
            db.keep_more_pages().await;
            self.announced = true;
        }
        if let Others::Unseen(before) = self.others {
            let now = db.writes_of_others().await;
            let seen = before.is_some() && now != before;
            self.others = if seen { Others::Seen } else { Others::Unseen(now) };
            if seen && self.logged > 0 {
                db.write_log().await;
                db.write_as_usual().await;
            }
        }
        let alone = self.others != Others::Seen;
        if alone && self.run.batches - self.logged >= BATCHES_PER_LOG {
            db.write_log().await;
            self.logged = self.run.batches;
        }
        if alone || self.held.elapsed() < HELD {
            tokio::time::sleep(took / REST).await;
        } else {
            tokio::time::sleep(WAY).await;
            self.held = Instant::now();
        }
    }

    /// A short transaction: the lease is renewed, the work done, and the run's record, to which it may add, brought up to date, all
    /// or nothing. So the record is right whenever the process dies, and who lost the lease changes nothing.
    pub async fn transact<W: Work>(&mut self, work: W) -> Result<(W::Found, Duration), Halt> {
        let (app, lease, before) = (self.app, &*self.lease, &*self.run);
        let Some(done) = app.db.insist(|| app.db.in_time(transact(app, lease, before, &work))).await? else {
            return Err(Halt::Ended(Outcome::LostLease));
        };
        let Done { after, found, took } = done;
        *self.run = after;
        self.took(took);
        Ok((found, took))
    }

    /// Leaves the database as it was found.
    pub async fn end(self) {
        if self.logged > 0 && self.others != Others::Seen {
            self.app.db.write_log().await;
        }
        if self.announced {
            self.app.db.write_as_usual().await;
        }
    }

    /// What no transaction can hold: the lease is renewed before, and the record brought up to date after.
    pub async fn alone<T>(&mut self, work: impl Future<Output = Result<T, DbErr>>) -> Result<T, Halt> {
        if !self.lease.renew(self.app.db.writer()).await? {
            return Err(Halt::Ended(Outcome::LostLease));
        }
        let began = Instant::now();
        let value = work.await?;
        self.run.batches += 1;
        self.took(began.elapsed());
        history::update(self.app.db.writer(), self.run.clone()).await?;
        Ok(value)
    }

    /// How long a batch took, its commit included, is in the record with the next.
    fn took(&mut self, took: Duration) {
        let millis = i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
        self.run.slowest_batch_ms = self.run.slowest_batch_ms.max(millis);
        telemetry::batch(&self.run.job, took);
        self.progress.batch(self.run);
    }

    /// Whether another batch may begin, the run's time included; a first one always may, or there would be no end of it.
    pub fn may_go_on(&self) -> Result<(), Halt> {
        self.may_begin()?;
        match self.budget {
            Some(budget) if self.run.batches > 0 && self.began.elapsed() >= budget => Err(Halt::Ended(Outcome::Budget)),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether another batch may begin, however long it took so far.
    pub fn may_begin(&self) -> Result<(), Halt> {
        if self.app.maintenance.stop.is_cancelled() { Err(Halt::Ended(Outcome::Cancelled)) } else { Ok(()) }
    }
}

/// What is done in a transaction of a run.
pub trait Work: Sync {
    /// What came of it.
    type Found: Send;

    /// Does it, and adds to the run's record what is to be in there.
    fn carry_out(
        &self,
        txn: &DatabaseTransaction,
        run: &mut Run,
    ) -> impl Future<Output = Result<Self::Found, DbErr>> + Send;
}

impl Work for Statement {
    type Found = ();

    async fn carry_out(&self, txn: &DatabaseTransaction, _run: &mut Run) -> Result<(), DbErr> {
        txn.execute_raw(self.clone()).await.map(drop)
    }
}

/// A statement whose rows are counted, see [`dialect::counted`].
struct Counted {
    statement: Statement,
    count: Counter,
}

impl Work for Counted {
    type Found = (u64, Option<Timestamp>);

    async fn carry_out(&self, txn: &DatabaseTransaction, run: &mut Run) -> Result<Self::Found, DbErr> {
        let (rows, last) = dialect::counted(txn, self.statement.clone()).await?;
        *(self.count)(run) += i64::try_from(rows).unwrap_or(i64::MAX);
        Ok((rows, last))
    }
}

/// What a transaction did.
struct Done<F> {
    after: Run,
    found: F,
    took: Duration,
}

/// None if the lease was lost.
async fn transact<W: Work>(app: &App, lease: &Lease, before: &Run, work: &W) -> Result<Option<Done<W::Found>>, DbErr> {
    let txn = app.db.begin().await?;
    // What it had to wait for is not its work, and others wait for it only from now on.
    let began = Instant::now();
    if !lease.renew(&txn).await? {
        txn.rollback().await?;
        return Ok(None);
    }
    let mut after = before.clone();
    after.batches += 1;
    let found = work.carry_out(&txn, &mut after).await?;
    history::update(&txn, after.clone()).await?;
    pause!(app.db, Deleted);
    txn.commit().await?;
    Ok(Some(Done { after, found, took: began.elapsed() }))
}

/// Grows or shrinks a batch towards [`TARGET`], by no more than twice or half at once. One that was not full tells nothing of
/// how long a full one takes, unless it took too long already.
pub(super) fn next_size(size: u64, took: Duration, full: bool, cap: u64) -> u64 {
    if !full && took <= TARGET {
        return size;
    }
    let factor = TARGET.as_secs_f64() / took.as_secs_f64().max(0.000_1);
    #[expect(clippy::cast_precision_loss, reason = "sizes are small")]
    let wanted = size as f64 * factor.clamp(0.5, 2.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sizes are small and positive")]
    let wanted = wanted as u64;
    wanted.clamp(LEAST.min(cap), cap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_grow_and_shrink_towards_their_target() {
        let ms = Duration::from_millis;
        assert_eq!(next_size(1000, ms(25), true, 5000), 1000);
        assert_eq!(next_size(1000, ms(50), true, 5000), 500);
        assert_eq!(next_size(1000, ms(20), true, 5000), 1250);
        assert_eq!(next_size(1000, ms(500), true, 5000), 500, "by half at most");
        assert_eq!(next_size(1000, ms(1), true, 5000), 2000, "twice at most");
        assert_eq!(next_size(1000, ms(1), false, 5000), 1000, "what was not full says nothing");
        assert_eq!(next_size(60, ms(500), true, 5000), 50, "never below the least");
        assert_eq!(next_size(10, ms(500), true, 10), 10);
        assert_eq!(next_size(4000, ms(1), true, 5000), 5000, "never above the cap");
    }
}
