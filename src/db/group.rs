//! Group commit: writers that wait at the same time share one commit where an engine has one writer.
//!
//! `SQLite` syncs its file for each commit, which takes a millisecond or several, and lets one writer in at a time. So
//! its writers queue, whoever waits when a transaction begins is taken along in it, and each is told after its commit.
//! Servers commit side by side, and group their syncs themselves: there each job has a transaction of its own.

use std::panic::AssertUnwindSafe;

use futures_util::{FutureExt, future::BoxFuture};
use sea_orm::{DatabaseTransaction, TransactionTrait};
use tokio::sync::mpsc;

use super::Db;
use crate::{error::Storage, pause::pause};

/// What is to be done in a transaction; an error instead of one if none could be had.
pub type Work =
    Box<dyn for<'a> FnOnce(Result<&'a DatabaseTransaction, Storage>) -> BoxFuture<'a, Outcome> + Send + 'static>;

type Then = Box<dyn FnOnce(Result<(), Storage>) + Send>;

/// What came of a job: whether to keep what it wrote, and whom to tell.
pub struct Outcome {
    keep: bool,
    then: Then,
}

impl Outcome {
    /// Keep it; `then` is told how the commit went.
    pub fn ready(then: impl FnOnce(Result<(), Storage>) + Send + 'static) -> Self {
        Self { keep: true, then: Box::new(then) }
    }

    /// Take it back, then call `then`.
    pub fn refused(then: impl FnOnce() + Send + 'static) -> Self {
        Self { keep: false, then: Box::new(|_| then()) }
    }
}

/// How many jobs may wait; beyond that whoever comes waits to wait.
const QUEUE: usize = 1024;
/// How many are taken along in one transaction.
const MOST: usize = 128;

/// Starts the queue of a database that has one writer; it ends with the last sender.
pub(super) fn queue(db: Db) -> mpsc::Sender<Work> {
    let (sender, mut jobs) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        let mut waiting = Vec::with_capacity(MOST);
        while jobs.recv_many(&mut waiting, MOST).await > 0 {
            // A defect in one job must not end the queue for all that come after; those beside it are told that they failed.
            if AssertUnwindSafe(all(&db, &mut waiting)).catch_unwind().await.is_err() {
                tracing::error!("a writer panicked: what was to be written with it was not");
                waiting.clear();
            }
        }
    });
    sender
}

async fn all(db: &Db, waiting: &mut Vec<Work>) {
    if waiting.len() > 1 {
        together(db, waiting).await;
    } else if let Some(work) = waiting.pop() {
        alone(db, work).await;
    }
}

/// One job in a transaction of its own.
pub(super) async fn alone(db: &Db, work: Work) {
    let txn = match db.begin().await {
        Ok(txn) => txn,
        Err(error) => return (work(Err(error.into())).await.then)(Ok(())),
    };
    let carrying_out = async {
        let outcome = work(Ok(&txn)).await;
        pause!(db, Written);
        let ended = if outcome.keep { txn.commit().await } else { txn.rollback().await };
        pause!(db, Committed);
        (outcome.then)(ended.map_err(Storage::from));
        Ok(())
    };
    // Whoever asked has given up by then.
    if let Err(error) = db.writer().at_long_last(carrying_out).await {
        tracing::warn!(error = %Storage::from(error), "what became of a change is not known");
    }
}

/// Several jobs in one transaction, so that an error of one takes back its own work only.
async fn together(db: &Db, jobs: &mut Vec<Work>) {
    let txn = match db.begin().await {
        Ok(txn) => txn,
        Err(error) => {
            let error = Storage::from(error);
            for work in jobs.drain(..) {
                (work(Err(error.clone())).await.then)(Ok(()));
            }
            return;
        }
    };
    let (mut done, mut broken) = (Vec::with_capacity(jobs.len()), None);
    for work in jobs.drain(..) {
        let (then, ended) = within(&txn, work).await;
        done.push(then);
        broken = broken.or(ended.err());
    }
    pause!(db, Written);
    // Where the end of a savepoint failed nobody can say what would be committed: then nothing is.
    let committed = match broken {
        None => txn.commit().await.map_err(Storage::from),
        Some(error) => txn.rollback().await.map_err(Storage::from).and(Err(error)),
    };
    pause!(db, Committed);
    for then in done {
        then(committed.clone());
    }
}

async fn within(txn: &DatabaseTransaction, work: Work) -> (Then, Result<(), Storage>) {
    let savepoint = match txn.begin().await {
        Ok(savepoint) => savepoint,
        Err(error) => return (work(Err(error.into())).await.then, Ok(())),
    };
    let outcome = work(Ok(&savepoint)).await;
    let ended = if outcome.keep { savepoint.commit().await } else { savepoint.rollback().await };
    (outcome.then, ended.map_err(Storage::from))
}
