//! Reading tokens from the database: whoever waits when a read begins is taken along in it.
//!
//! The way to the database and back takes several times as long as finding a row there, and where memory is turned off,
//! or still empty, many checks go it at the same time. So they queue, as writers do for their commit
//! ([`crate::db::group`]), and one statement asks for all that wait.

use std::{collections::HashMap, fmt, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use sea_orm::DbErr;
use tokio::sync::{Mutex, mpsc, oneshot};
use uuid::Uuid;

use super::{
    Held, HeldRef,
    row::{self, MOST_AT_ONCE},
};
use crate::{clock::Clock, db::Db, error::Storage};

/// Where those wait who need a token from the database.
pub struct Reads {
    asked: mpsc::Sender<Asked>,
    /// How long anybody waits: a database that is away must not make a queue of those who ask.
    patience: Duration,
}

struct Asked {
    id: Uuid,
    reply: oneshot::Sender<Answer>,
}

type Answer = Result<Option<HeldRef>, Storage>;

/// How many reads are under way at a time: one that hangs does not hold up all, and more would share less.
const LANES: usize = 2;
/// How many may wait; beyond that whoever comes waits to wait.
const QUEUE: usize = 1024;

impl Reads {
    /// Starts to read; it ends when this is dropped.
    pub fn start(db: &Db, clock: &Clock) -> Self {
        let (sender, asked) = mpsc::channel(QUEUE);
        let asked = Arc::new(Mutex::new(asked));
        for _ in 0..LANES {
            tokio::spawn(keep_reading(db.clone(), clock.clone(), Arc::clone(&asked)));
        }
        Self { asked: sender, patience: db.patience() }
    }

    /// The token as the database has it, by a read that begins after this was asked.
    pub async fn find(&self, id: Uuid) -> Answer {
        let (reply, answer) = oneshot::channel();
        let asking = async {
            self.asked.send(Asked { id, reply }).await.map_err(|_| failed("reading tokens has ended"))?;
            answer.await.unwrap_or_else(|_| Err(failed("a token was not read")))
        };
        in_time(self.patience, asking).await
    }
}

const LATE: &str = "reading a token took too long";

fn failed(why: &str) -> Storage {
    DbErr::Custom(why.to_owned()).into()
}

async fn in_time<T>(patience: Duration, work: impl Future<Output = Result<T, Storage>>) -> Result<T, Storage> {
    tokio::time::timeout(patience, work).await.unwrap_or_else(|_| Err(failed(LATE)))
}

async fn keep_reading(db: Db, clock: Clock, asked: Arc<Mutex<mpsc::Receiver<Asked>>>) {
    let mut waiting = Vec::with_capacity(MOST_AT_ONCE);
    loop {
        if asked.lock().await.recv_many(&mut waiting, MOST_AT_ONCE).await == 0 {
            return;
        }
        // A defect must not end the reading for all that come after.
        if AssertUnwindSafe(answer(&db, &clock, &mut waiting)).catch_unwind().await.is_err() {
            tracing::error!("reading tokens panicked: those who waited were told that it failed");
            waiting.clear();
        }
    }
}

async fn answer(db: &Db, clock: &Clock, waiting: &mut Vec<Asked>) {
    // Whoever has gone away meanwhile is not read for.
    waiting.retain(|asked| !asked.reply.is_closed());
    let ids: Vec<_> = waiting.iter().map(|asked| asked.id).collect();
    // Nobody waits longer either, and what hangs must not hold the others up.
    let mut reading = Box::pin(read(db.clone(), clock.clone(), ids));
    let found = tokio::time::timeout(db.patience(), &mut reading).await.unwrap_or_else(|_| {
        // To its own end: a statement that is dropped may take its connection with it, unnoticed (see `db::pool`).
        tokio::spawn(reading);
        Err(failed(LATE))
    });
    for Asked { id, reply } in waiting.drain(..) {
        let answer = match &found {
            Ok(found) => found.get(&id).cloned().transpose(),
            Err(error) => Err(error.clone()),
        };
        drop(reply.send(answer));
    }
}

/// A row that cannot be understood is an error of its own.
async fn read(db: Db, clock: Clock, ids: Vec<Uuid>) -> Result<HashMap<Uuid, Result<HeldRef, Storage>>, Storage> {
    let uptime = clock.uptime();
    let rows = row::find(db.reader(), &ids).await?;
    let held = |row| HeldRef::new(Held::from(row).read_at_uptime(uptime));
    Ok(rows.into_iter().map(|(id, row)| (id, row.map(held).map_err(Storage::from))).collect())
}

impl fmt::Debug for Reads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reads(..)")
    }
}
