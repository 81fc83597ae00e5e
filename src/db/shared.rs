//! Statements that many wait for: whoever asks while one is under way is taken along in the next.
//!
//! The way to a database and back takes several times as long as what it does there for one row, and much of what it does
//! it does for each statement.

use std::{fmt, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use sea_orm::DbErr;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::error::Storage;

/// Where those wait who ask something that one statement can do for many.
pub(crate) struct Shared<Q, A> {
    queue: mpsc::Sender<Asked<Q, A>>,
    terms: Terms,
}

/// On which terms a statement is shared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// What a statement does, for errors.
    pub(crate) what: &'static str,
    /// How many it does it for.
    pub(crate) most: usize,
    /// How long anybody waits: a database that is away must not make a queue of those who ask.
    pub(crate) patience: Duration,
}

struct Asked<Q, A> {
    question: Q,
    reply: oneshot::Sender<Result<A, Storage>>,
}

/// How many statements are under way at a time: one that hangs does not hold up all, and more would share less.
const LANES: usize = 2;
/// How many may wait; beyond that whoever comes waits to wait.
const QUEUE: usize = 1024;

impl<Q: Send + 'static, A: Send + 'static> Shared<Q, A> {
    /// Starts to ask, which ends when this is dropped. `ask` answers each question, in their order.
    pub(crate) fn start<F>(terms: Terms, ask: impl Fn(Vec<Q>) -> F + Clone + Send + 'static) -> Self
    where
        F: Future<Output = Result<Vec<Result<A, Storage>>, Storage>> + Send + 'static,
    {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..LANES {
            tokio::spawn(keep_asking(terms, Arc::clone(&waiting), ask.clone()));
        }
        Self { queue, terms }
    }

    /// The answer of a statement that begins after this was asked.
    pub(crate) async fn ask(&self, question: Q) -> Result<A, Storage> {
        let Terms { what, patience, .. } = self.terms;
        let (reply, answer) = oneshot::channel();
        let asking = async {
            self.queue.send(Asked { question, reply }).await.map_err(|_| failed(what, "has ended"))?;
            answer.await.unwrap_or_else(|_| Err(failed(what, "was broken off")))
        };
        tokio::time::timeout(patience, asking).await.unwrap_or_else(|_| Err(late(what)))
    }
}

fn failed(what: &str, how: &str) -> Storage {
    DbErr::Custom(format!("{what} {how}")).into()
}

fn late(what: &str) -> Storage {
    failed(what, "took too long")
}

type Waiting<Q, A> = Arc<Mutex<mpsc::Receiver<Asked<Q, A>>>>;

async fn keep_asking<Q, A, F>(terms: Terms, waiting: Waiting<Q, A>, ask: impl Fn(Vec<Q>) -> F)
where
    A: Send + 'static,
    F: Future<Output = Result<Vec<Result<A, Storage>>, Storage>> + Send + 'static,
{
    let mut taken = Vec::with_capacity(terms.most);
    loop {
        if waiting.lock().await.recv_many(&mut taken, terms.most).await == 0 {
            return;
        }
        // Whoever has gone away meanwhile is not asked for.
        let asked = taken.drain(..).filter(|asked| !asked.reply.is_closed());
        let (questions, replies): (Vec<_>, Vec<_>) = asked.map(|asked| (asked.question, asked.reply)).unzip();
        if questions.is_empty() {
            continue;
        }
        // A defect must not end it for all that come after.
        let Ok(answers) = AssertUnwindSafe(in_time(terms, ask(questions))).catch_unwind().await else {
            tracing::error!("{} panicked: those who waited were told that it failed", terms.what);
            continue;
        };
        match answers {
            Ok(answers) => replies.into_iter().zip(answers).for_each(|(reply, answer)| drop(reply.send(answer))),
            Err(error) => replies.into_iter().for_each(|reply| drop(reply.send(Err(error.clone())))),
        }
    }
}

/// Nobody waits longer than that either, and what hangs must not hold the others up.
async fn in_time<T, F>(terms: Terms, asking: F) -> Result<T, Storage>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Storage>> + Send + 'static,
{
    let mut asking = Box::pin(asking);
    tokio::time::timeout(terms.patience, &mut asking).await.unwrap_or_else(|_| {
        // To its own end: a statement that is dropped may take its connection with it, unnoticed (see `db::pool`).
        tokio::spawn(asking);
        Err(late(terms.what))
    })
}

impl<Q, A> fmt::Debug for Shared<Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("terms", &self.terms).finish_non_exhaustive()
    }
}
