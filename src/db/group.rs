//! Group commit: writers that wait at the same time share one commit where an engine has one writer.
//!
//! `SQLite` syncs its file for each commit, which takes a millisecond or several, and lets one writer in at a time. So
//! its writers queue, whoever waits when a transaction begins is taken along in it, and each is told after its commit.
//! Servers commit side by side, and group their syncs themselves: there each job has a transaction of its own.

use std::panic::AssertUnwindSafe;

use futures_util::{FutureExt, future::BoxFuture};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Statement, TransactionTrait};
use tokio::sync::{mpsc, oneshot};

use super::Db;
use crate::error::Storage;

/// What is to be done.
pub enum Job {
    /// Several statements that belong together.
    Work(Work),
    /// One statement, and one that is carried out beside it if it wrote anything; whoever waits is told how many rows the first
    /// wrote. It needs no savepoint: the first takes itself back, and where the second fails nothing is committed.
    Statement(Statement, Option<Statement>, oneshot::Sender<Result<u64, Storage>>),
}

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
pub(super) fn queue(db: Db) -> mpsc::Sender<Job> {
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

async fn all(db: &Db, waiting: &mut Vec<Job>) {
    if waiting.len() > 1 {
        together(db, waiting).await;
    } else if let Some(job) = waiting.pop() {
        alone(db, job).await;
    }
}

/// One job in a transaction of its own.
pub(super) async fn alone(db: &Db, job: Job) {
    let work = match job {
        Job::Work(work) => work,
        Job::Statement(statement, beside, reply) => {
            let result = statements_alone(db, statement, beside).await;
            return drop(reply.send(result.map_err(Storage::from)));
        }
    };
    let txn = match db.begin().await {
        Ok(txn) => txn,
        Err(error) => return (work(Err(error.into())).await.then)(Ok(())),
    };
    let carrying_out = async {
        let outcome = work(Ok(&txn)).await;
        let ended = if outcome.keep { txn.commit().await } else { txn.rollback().await };
        (outcome.then)(ended.map_err(Storage::from));
        Ok(())
    };
    // Whoever asked has given up by then.
    if let Err(error) = db.writer().at_long_last(carrying_out).await {
        tracing::warn!(error = %Storage::from(error), "what became of a change is not known");
    }
}

async fn statements_alone(db: &Db, statement: Statement, beside: Option<Statement>) -> Result<u64, DbErr> {
    if beside.is_none() {
        return Ok(db.writer().execute_raw(statement).await?.rows_affected());
    }
    let carrying_out = async {
        let txn = db.begin().await?;
        let written = txn.execute_raw(statement).await?.rows_affected();
        if let Some(beside) = beside.filter(|_| written > 0) {
            txn.execute_raw(beside).await?;
        }
        txn.commit().await?;
        Ok(written)
    };
    db.in_time(carrying_out).await
}

/// Several jobs in one transaction, so that an error of one takes back its own work only.
async fn together(db: &Db, jobs: &mut Vec<Job>) {
    let txn = match db.begin().await {
        Ok(txn) => txn,
        Err(error) => {
            let error = Storage::from(error);
            for job in jobs.drain(..) {
                refuse(job, error.clone()).await;
            }
            return;
        }
    };
    let (mut done, mut broken) = (Vec::with_capacity(jobs.len()), None);
    for job in jobs.drain(..) {
        let (then, ended) = within(&txn, job).await;
        done.push(then);
        broken = broken.or(ended.err());
    }
    // Where the end of a savepoint, or a second statement, failed nobody can say what would be committed: then nothing is.
    let committed = match broken {
        None => txn.commit().await.map_err(Storage::from),
        Some(error) => txn.rollback().await.map_err(Storage::from).and(Err(error)),
    };
    for then in done {
        then(committed.clone());
    }
}

async fn refuse(job: Job, error: Storage) {
    match job {
        Job::Work(work) => (work(Err(error)).await.then)(Ok(())),
        Job::Statement(_, _, reply) => drop(reply.send(Err(error))),
    }
}

async fn within(txn: &DatabaseTransaction, job: Job) -> (Then, Result<(), Storage>) {
    let work = match job {
        Job::Work(work) => work,
        Job::Statement(statement, beside, reply) => {
            let written =
                txn.execute_raw(statement).await.map(|written| written.rows_affected()).map_err(Storage::from);
            let beside = beside.filter(|_| written.as_ref().is_ok_and(|written| *written > 0));
            let ended = match beside {
                Some(beside) => txn.execute_raw(beside).await.map(drop).map_err(Storage::from),
                None => Ok(()),
            };
            let then = move |committed: Result<(), Storage>| {
                drop(reply.send(written.and_then(|written| committed.map(|()| written))));
            };
            return (Box::new(then), ended);
        }
    };
    let savepoint = match txn.begin().await {
        Ok(savepoint) => savepoint,
        Err(error) => return (work(Err(error.into())).await.then, Ok(())),
    };
    let outcome = work(Ok(&savepoint)).await;
    let ended = if outcome.keep { savepoint.commit().await } else { savepoint.rollback().await };
    (outcome.then, ended.map_err(Storage::from))
}
