//! Changing things: in a transaction, told to those who remember what changed, and completed once begun.
//!
//! Whatever changes a token, or what its user may do, goes through [`write()`] and says so with [`Write::changed`]. Before
//! the commit that is noted in the `change` table, where every other replica looks for it; after the commit, and before
//! anybody is told of it, this process forgets what it remembered of those tokens. So the next check here sees the
//! change, and [`crate::token::changes`] sees to the rest of the world.
//!
//! Whoever changes something says who does it, and what is done with [`Write::record`]: that is written into the audit trail
//! by the same transaction ([`crate::audit`]).

use std::sync::{Arc, Mutex, PoisonError};

use entity::{audit_event::Model, change};
use futures_util::future::BoxFuture;
use sea_orm::{ActiveValue::Set, DatabaseTransaction, DbErr, EntityTrait};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::{
    app::App,
    audit::{self, Actor, Done},
    db::{
        TRIES,
        group::{Outcome, Work},
        step_back,
    },
    error::{Error, Storage},
    id,
    pause::pause,
    token::changes::LATE,
};

/// A transaction under way.
#[derive(Debug)]
pub struct Write<'a> {
    txn: &'a DatabaseTransaction,
    changed: Mutex<Vec<Uuid>>,
    done: Mutex<Vec<Done>>,
}

impl Write<'_> {
    /// Where the statements go.
    pub fn txn(&self) -> &DatabaseTransaction {
        self.txn
    }

    /// Notes that these tokens changed, other than by being used.
    pub fn changed(&self, tokens: impl IntoIterator<Item = Uuid>) {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).extend(tokens);
    }

    /// Puts on record what is done.
    pub fn record(&self, done: Done) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).push(done);
    }
}

/// Carries out `work`, which `by` wants, in a transaction and answers once that is committed, or failed; an error takes all of it back.
///
/// It goes on when whoever asked goes away. On `SQLite` it may share its transaction with others that wait at the same
/// time; a failure among them is its own. Where it fails because another writer was faster (a deadlock, or two nodes of a
/// Galera cluster that changed the same row), it is done again from the beginning, a few times.
pub async fn write<T, W>(app: &Arc<App>, by: &Actor, work: W) -> Result<T, Error>
where
    T: Send + 'static,
    W: for<'a> FnOnce(&'a Write<'a>) -> BoxFuture<'a, Result<T, Error>> + Clone + Send + 'static,
{
    for tried in 1..TRIES {
        match once(app, by, work.clone()).await {
            Err(Error::Storage(error)) if error.is_conflict() => step_back(tried).await,
            result => return result,
        }
    }
    once(app, by, work).await
}

async fn once<T, W>(app: &Arc<App>, by: &Actor, work: W) -> Result<T, Error>
where
    T: Send + 'static,
    W: for<'a> FnOnce(&'a Write<'a>) -> BoxFuture<'a, Result<T, Error>> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    let (shared, by) = (Arc::clone(app), by.clone());
    let work: Work = Box::new(move |txn| Box::pin(carry_out(shared, by, txn, work, reply)));
    pause!(app.db, Change);
    app.db.group(work).await?;
    // A server that is silent may have made the change or not: nobody is told that it did.
    let answer = app.db.in_time(async { Ok(answer.await) }).await?;
    answer.unwrap_or_else(|_| Err(Error::Internal("a change was neither made nor refused".to_owned())))
}

type Reply<T> = oneshot::Sender<Result<T, Error>>;

async fn carry_out<T, W>(
    app: Arc<App>,
    by: Actor,
    txn: Result<&DatabaseTransaction, Storage>,
    work: W,
    reply: Reply<T>,
) -> Outcome
where
    T: Send + 'static,
    W: for<'a> FnOnce(&'a Write<'a>) -> BoxFuture<'a, Result<T, Error>> + Send + 'static,
{
    let txn = match txn {
        Ok(txn) => txn,
        Err(error) => return Outcome::refused(move || drop(reply.send(Err(error.into())))),
    };
    let write = Write { txn, changed: Mutex::default(), done: Mutex::default() };
    let result = work(&write).await;
    let changed = write.changed.into_inner().unwrap_or_else(PoisonError::into_inner);
    let done = write.done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (noted_at, now) = (app.clock.uptime(), app.clock.now());
    let events: Vec<_> = done.into_iter().map(|done| done.by(&by, now)).collect();
    let result = match result {
        Ok(value) => put_down(&app, txn, &changed, &events).await.map(|()| value).map_err(Error::from),
        Err(error) => Err(error),
    };
    match result {
        Err(error) => Outcome::refused(move || drop(reply.send(Err(error)))),
        Ok(value) => Outcome::ready(move |committed| {
            // Also after an error: a commit whose answer was lost may have been one.
            app.checker.forget(&changed);
            match committed {
                Ok(()) => {
                    audit::log(&events);
                    settle(app, changed, noted_at, reply, value);
                }
                Err(error) => drop(reply.send(Err(error.into()))),
            }
        }),
    }
}

/// Tells that it is done.
///
/// A commit that took longer than others look back for might have been missed by them: then it is noted once more, and
/// told only after that.
fn settle<T: Send + 'static>(app: Arc<App>, changed: Vec<Uuid>, noted_at: i64, reply: Reply<T>, value: T) {
    if changed.is_empty() || app.clock.uptime() - noted_at < LATE.as_millis().try_into().unwrap_or(i64::MAX) {
        drop(reply.send(Ok(value)));
        return;
    }
    tokio::spawn(async move {
        let again = note(&app, app.db.writer(), &changed).await;
        drop(reply.send(again.map(|()| value).map_err(Error::from)));
    });
}

/// What others must know, and what is to be on record.
async fn put_down(app: &App, txn: &DatabaseTransaction, changed: &[Uuid], events: &[Model]) -> Result<(), DbErr> {
    audit::insert(txn, events).await?;
    note(app, txn, changed).await
}

/// How many rows one statement writes: well below the number of parameters that engines allow.
const AT_ONCE: usize = 1000;

/// The time is read here, not when the request came: what counts is when others can see it.
async fn note(app: &App, db: &impl sea_orm::ConnectionTrait, changed: &[Uuid]) -> Result<(), DbErr> {
    for tokens in changed.chunks(AT_ONCE) {
        let now = app.clock.now();
        let rows = tokens.iter().map(|token| change::ActiveModel {
            second: Set(now.millis().div_euclid(1000)),
            id: Set(id::new(now)),
            token_id: Set(*token),
        });
        change::Entity::insert_many(rows).exec_without_returning(db).await?;
    }
    Ok(())
}
