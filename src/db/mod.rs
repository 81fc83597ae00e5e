//! How each database is opened, kept alive and asked.
//!
//! - this file: how databases are opened, transactions, the probe;
//! - [`mod@dialect`]: the statements that the three engines do not share;
//! - [`mod@durability`]: what an acknowledged change survives;
//! - [`mod@group`]: writers that share a commit;
//! - [`mod@log`]: when `SQLite`'s log is written to the file;
//! - [`mod@migrate`]: schema steps under a lock;
//! - [`mod@pool`], [`mod@watch`]: connections that are given up when a server is silent;
//! - `shared`: statements that many wait for;
//! - `sql`: statements that are written once.

pub mod dialect;
pub mod durability;
pub mod group;
pub mod log;
pub mod migrate;
pub mod pool;
pub(crate) mod shared;
pub(crate) mod sql;
pub mod watch;

use std::{path::Path, str::FromStr, time::Duration};

use entity::Timestamp;
use futures_util::future::BoxFuture;
use sea_orm::{
    ConnectOptions, ConnectionTrait, DatabaseTransaction, DbErr, SqliteTransactionMode, Statement, TransactionOptions,
    sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
    sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _},
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    config::{Database as Settings, Durability},
    error::{Storage, is_busy, is_conflict},
    jitter::random_part,
    pause::Pauses,
};
use group::{Outcome, Work};
use log::Log;
use pool::Pool;

/// Which database is talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Embedded, in a file.
    Sqlite,
    /// `PostgreSQL`, or what speaks its protocol.
    Postgres,
    /// MySQL or MariaDB.
    MySql,
}

/// How often what fails only because another writer was faster is tried, all in all.
pub(crate) const TRIES: u32 = 5;

/// Lets the other writer go on, before what failed because of it, and was tried so often, is tried again.
///
/// Whoever comes back at once may have a row that is free before the one that was waiting for it has been woken up, and
/// both wait for each other again. The pause grows, and differs from one to the next: of two that failed because of each
/// other, one shall come first.
pub(crate) async fn step_back(tried: u32) {
    let least = FIRST_PAUSE * 2_u32.pow(tried - 1);
    tokio::time::sleep(least + random_part(least)).await;
}

/// The least pause before the second try: waking up a waiting session takes less.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// The database: one pool that reads and one that writes.
///
/// On `SQLite` the writing pool is a single connection: its one writer lock is then waited for in a queue of ours,
/// first come first served, not by polling a busy file. Elsewhere both are the same pool.
#[derive(Clone, Debug)]
pub struct Db {
    engine: Engine,
    readers: Pool,
    writer: Pool,
    /// Where writers queue, on an engine that has one at a time.
    queue: Option<mpsc::Sender<Work>>,
    log: Log,
    patience: Duration,
    deadline: Duration,
    /// Where tests hold those who use it.
    pub pauses: Pauses,
}

impl Db {
    /// Connects, and creates an `SQLite` file that does not exist.
    pub async fn open(url: &str, settings: &Settings) -> Result<Self, Storage> {
        let url = url.replacen("mariadb:", "mysql:", 1);
        if url.starts_with("sqlite:") { open_sqlite(&url, settings).await } else { open_server(&url, settings).await }
    }

    /// For statements that only read.
    pub fn reader(&self) -> &Pool {
        &self.readers
    }

    /// For single statements that write.
    pub fn writer(&self) -> &Pool {
        &self.writer
    }

    /// Begins a transaction that writes.
    ///
    /// On `SQLite` it takes the writer lock at once: one that reads first and wants to write later fails when another
    /// wrote in between.
    pub async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        self.writer
            .begin(TransactionOptions {
                isolation_level: None,
                access_mode: None,
                sqlite_transaction_mode: (self.engine == Engine::Sqlite).then_some(SqliteTransactionMode::Immediate),
            })
            .await
    }

    /// Carries out a transaction, or waits for one, unless a server does not answer for too long.
    pub async fn in_time<T>(&self, work: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        self.writer.in_time(work).await
    }

    /// Sees to it that a job is carried out in a transaction, whatever becomes of the caller.
    pub async fn group(&self, job: Work) -> Result<(), Storage> {
        let Some(queue) = &self.queue else {
            let db = self.clone();
            tokio::spawn(async move { group::alone(&db, job).await });
            return Ok(());
        };
        match tokio::time::timeout(self.patience, queue.send(job)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(DbErr::Custom("the queue of writers has ended".to_owned()).into()),
            Err(_) => Err(DbErr::Custom("too many writers are waiting".to_owned()).into()),
        }
    }

    /// Carries out `work` in a transaction, which others may share, and tells what came of it once that is committed.
    pub(crate) async fn transact<T, W>(&self, work: W) -> Result<T, Storage>
    where
        T: Send + 'static,
        W: for<'a> FnOnce(&'a DatabaseTransaction) -> BoxFuture<'a, Result<T, DbErr>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel::<Result<T, Storage>>();
        let carry_out = async move |txn: Result<&DatabaseTransaction, Storage>| {
            let done = match txn {
                Ok(txn) => work(txn).await.map_err(Storage::from),
                Err(error) => Err(error),
            };
            match done {
                Ok(value) => Outcome::ready(move |committed| drop(reply.send(committed.map(|()| value)))),
                Err(error) => Outcome::refused(move || drop(reply.send(Err(error)))),
            }
        };
        self.group(Box::new(move |txn| Box::pin(carry_out(txn)))).await?;
        let answer = self.in_time(async { Ok(answer.await) }).await?;
        answer.unwrap_or_else(|_| Err(DbErr::Custom("a transaction was not carried out".to_owned()).into()))
    }

    /// How long anybody waits for their turn, see `database.acquire_timeout`.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// How long anybody waits for a server's answer: `database.statement_timeout`, after which it says so itself where it can,
    /// and the time for a connection.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Which database this is.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// The time by the database's own clock: also the cheapest question that proves it answers.
    pub async fn now(&self) -> Result<Timestamp, DbErr> {
        let statement =
            Statement::from_string(self.readers.get_database_backend(), dialect::current_millis(self.engine));
        let row = self.readers.query_one_raw(statement).await?;
        let row = row.ok_or_else(|| DbErr::RecordNotFound("the database did not tell its time".to_owned()))?;
        row.try_get_by_index::<i64>(0).map(Timestamp::from_millis)
    }

    /// Does something again, up to `TRIES` times in all, for as long as it fails only because others were faster.
    pub async fn insist<T, F>(&self, what: impl Fn() -> F) -> Result<T, DbErr>
    where
        F: Future<Output = Result<T, DbErr>>,
    {
        for tried in 1..TRIES {
            match what().await {
                Err(error) if is_conflict(&error) || is_busy(&error) => step_back(tried).await,
                result => return result,
            }
        }
        what().await
    }

    /// Closes both pools once what they are doing is done.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

async fn open_server(url: &str, settings: &Settings) -> Result<Db, Storage> {
    let mut options = options(url, settings);
    options
        .max_connections(settings.max_connections)
        .idle_timeout(settings.idle_timeout)
        .set_application_name("daypass")
        .statement_timeout(settings.statement_timeout)
        .test_before_acquire_if_idle_for(Duration::from_secs(30));
    // What is written rests on each statement seeing what is committed by then. It is PostgreSQL's default, unless somebody
    // changed it; under MySQL's own, what locks rows locks the gaps between them too.
    let patient_for = dialect::lock_wait_mysql(settings.statement_timeout);
    options.map_sqlx_mysql_pool_opts(move |pool| {
        let patient_for = patient_for.clone();
        pool.after_connect(move |connection, _| {
            let patient_for = patient_for.clone();
            Box::pin(async move {
                connection.execute(dialect::READ_COMMITTED_MYSQL).await?;
                connection.execute(AssertSqlSafe(patient_for)).await?;
                for row in connection.fetch_all(dialect::VARIABLES_MYSQL).await? {
                    match (row.try_get::<&str, _>(0)?, row.try_get::<&str, _>(1)?) {
                        ("wsrep_on", "ON") => connection.execute(dialect::GALERA_READS_WAIT).await.map(drop)?,
                        ("idle_write_transaction_timeout", _) => {
                            connection.execute(dialect::ABANDONED_MYSQL).await.map(drop)?;
                        }
                        _ => {}
                    }
                }
                Ok(())
            })
        })
    });
    options.map_sqlx_postgres_pool_opts(|pool| {
        pool.after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute(dialect::READ_COMMITTED_POSTGRES).await?;
                connection.execute(dialect::ABANDONED_POSTGRES).await.map(drop)
            })
        })
    });
    let (patience, deadline) = (settings.acquire_timeout, settings.acquire_timeout + settings.statement_timeout);
    let pool = Pool::to_server(options, deadline).await?;
    let engine = if url.starts_with("mysql:") { Engine::MySql } else { Engine::Postgres };
    let (log, pauses) = (Log::default(), Pauses::default());
    Ok(Db { engine, readers: pool.clone(), writer: pool, queue: None, log, patience, deadline, pauses })
}

async fn open_sqlite(url: &str, settings: &Settings) -> Result<Db, Storage> {
    let in_memory = url.contains(":memory:") || url.contains("mode=memory");
    let file = SqliteConnectOptions::from_str(url).map_err(|error| DbErr::Custom(error.to_string()))?;
    let path = (!in_memory).then(|| file.get_filename());
    path.map_or(Ok(()), create_private)?;
    let synchronous = match settings.sqlite_durability {
        Durability::Full => SqliteSynchronous::Full,
        Durability::Normal => SqliteSynchronous::Normal,
    };
    let mut write = options(url, settings);
    write.max_connections(1).min_connections(1).test_before_acquire(false).map_sqlx_sqlite_opts(move |sqlite| {
        sqlite
            .auto_vacuum(SqliteAutoVacuum::Incremental)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(synchronous)
            .busy_timeout(BUSY)
    });
    // SQLite may end a transaction by itself, as when the disk is full; sqlx then takes it for open still, and what is
    // written next would hang in a savepoint that nobody commits. Such a connection is not used again.
    if !in_memory {
        write.map_sqlx_sqlite_pool_opts(|pool| {
            pool.after_release(|connection, _| {
                Box::pin(async move {
                    if connection.is_in_transaction() {
                        // A rollback that is on its way is finished first.
                        connection.ping().await?;
                    }
                    Ok(!connection.is_in_transaction())
                })
            })
        });
    }
    // An in-memory database lives exactly as long as its one connection.
    write.idle_timeout(None).max_lifetime(None);
    let writer = Pool::of_file(write, path).await?;
    if in_memory {
        return Ok(queued(writer.clone(), writer, Log::default(), settings));
    }
    let mut read = options(url, settings);
    read.max_connections(settings.sqlite_readers)
        .test_before_acquire(false)
        .map_sqlx_sqlite_opts(|sqlite| sqlite.read_only(true).busy_timeout(BUSY));
    Ok(queued(Pool::of_file(read, path).await?, writer, Log::of(file.clone(), synchronous), settings))
}

fn queued(readers: Pool, writer: Pool, log: Log, settings: &Settings) -> Db {
    let (patience, deadline) = (settings.acquire_timeout, settings.acquire_timeout + settings.statement_timeout);
    let pauses = Pauses::default();
    let db = Db { engine: Engine::Sqlite, readers, writer, queue: None, log, patience, deadline, pauses };
    Db { queue: Some(group::queue(db.clone())), ..db }
}

/// How long `SQLite` waits for a lock that another process holds, such as the command line beside the server.
pub(crate) const BUSY: Duration = Duration::from_secs(5);

fn options(url: &str, settings: &Settings) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .acquire_timeout(settings.acquire_timeout)
        .connect_timeout(settings.acquire_timeout)
        .sqlx_logging(false)
        .record_stmt_in_spans(false);
    options
}

/// Creates the file so that only its owner reads it: it holds password hashes.
fn create_private(path: &Path) -> Result<(), Storage> {
    use std::os::unix::fs::OpenOptionsExt;

    let result = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(DbErr::Custom(format!("cannot create {}: {error}", path.display())).into())
        }
        Ok(_) | Err(_) => Ok(()),
    }
}
