//! A pool of connections that can be given up for a new one, without anybody who holds it having to know.
//!
//! A server that goes silent (a firewall that forgot its connections, a machine that is gone) closes none of them. `sqlx` then
//! loses a place of its pool with each statement that is given up, for it waits without end for a word on that connection, and
//! once all are lost nothing brings them back (transact-rs/sqlx#4349). So whoever waits here does so for a limited time, and
//! [`super::watch`] replaces a pool that does not answer where a new connection would.
//!
//! An `SQLite` file that is moved, deleted or replaced under a running service stays open: what is written goes where nobody will
//! look for it. So each use asks whether the file is still the one that was opened.

use std::{
    fmt,
    future::Future,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseBackend, DatabaseConnection, DatabaseTransaction, DbErr,
    ExecResult, QueryResult, RuntimeErr, Statement, TransactionOptions, TransactionTrait,
    prelude::async_trait::async_trait,
};
use tokio_util::sync::CancellationToken;

use crate::error::Storage;

/// Connections to one database. Clones are the same pool.
#[derive(Clone)]
pub struct Pool(Arc<Shared>);

struct Shared {
    current: RwLock<Current>,
    options: ConnectOptions,
    backend: DatabaseBackend,
    /// How long anybody waits for an answer; none where no peer could be silent.
    deadline: Option<Duration>,
    file: Option<File>,
    answered: AtomicU64,
}

#[derive(Clone)]
struct Current {
    connections: DatabaseConnection,
    given_up: CancellationToken,
    /// Something was abandoned that may have held one of them.
    abandoned: Arc<AtomicBool>,
}

impl Current {
    fn new(connections: DatabaseConnection) -> Self {
        Self { connections, given_up: CancellationToken::new(), abandoned: Arc::default() }
    }
}

impl Pool {
    /// Connects to a server; nobody waits for an answer for longer than `deadline`.
    pub(super) async fn to_server(options: ConnectOptions, deadline: Duration) -> Result<Self, DbErr> {
        Self::connect(options, Some(deadline), None).await
    }

    /// Opens a file, or a database in memory.
    pub(super) async fn of_file(options: ConnectOptions, path: Option<&Path>) -> Result<Self, DbErr> {
        Self::connect(options, None, path.and_then(File::at)).await
    }

    async fn connect(options: ConnectOptions, deadline: Option<Duration>, file: Option<File>) -> Result<Self, DbErr> {
        let connections = Database::connect(options.clone()).await?;
        let backend = connections.get_database_backend();
        let current = RwLock::new(Current::new(connections));
        Ok(Self(Arc::new(Shared { current, options, backend, deadline, file, answered: AtomicU64::new(0) })))
    }

    /// Whose words it speaks.
    pub fn get_database_backend(&self) -> DatabaseBackend {
        self.0.backend
    }

    /// The connections as they are now; they may be given up at any time.
    pub fn connections(&self) -> DatabaseConnection {
        self.current().connections
    }

    /// Begins a transaction. Its statements are not limited in time: see [`Pool::in_time`].
    ///
    /// To its own end, also where nobody waits for that any more: `sqlx` does not know that a transaction is open whose `BEGIN` was
    /// not awaited, and whoever got the connection next would write into it, and hear that it is written.
    pub async fn begin(&self, options: TransactionOptions) -> Result<DatabaseTransaction, DbErr> {
        self.ask(|connections| async move {
            let beginning = tokio::spawn(async move { connections.begin_with_options(options).await });
            beginning.await.map_err(|error| failed(&error.to_string()))?
        })
        .await
    }

    /// Carries out something on these connections, unless it takes too long or they are given up meanwhile.
    pub async fn in_time<T>(&self, work: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        self.bounded(self.0.deadline, work).await
    }

    /// The same with twice the time, for what others wait for who should give up first.
    pub async fn at_long_last<T>(&self, work: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        self.bounded(self.0.deadline.map(|deadline| deadline * 2), work).await
    }

    async fn bounded<T>(
        &self,
        deadline: Option<Duration>,
        work: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, DbErr> {
        let Some(deadline) = deadline else { return work.await };
        let Current { given_up, abandoned, .. } = self.current();
        tokio::select! {
            // What ends because the connections were given up is told so, and not what came of that.
            biased;
            () = given_up.cancelled() => Err(failed("the connection did not answer, and was given up")),
            done = tokio::time::timeout(deadline, work) => {
                done.unwrap_or_else(|_| {
                    abandoned.store(true, Ordering::Relaxed);
                    Err(failed("the database did not answer in time"))
                })
            }
        }
    }

    async fn ask<T, F>(&self, question: impl FnOnce(DatabaseConnection) -> F) -> Result<T, DbErr>
    where
        F: Future<Output = Result<T, DbErr>>,
    {
        if let Some(file) = &self.0.file {
            file.is_still_there()?;
        }
        let answer = self.in_time(question(self.connections())).await;
        if answer.as_ref().map_or_else(is_answer, |_| true) {
            self.0.answered.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }

    /// How often the database answered something.
    pub(super) fn answered(&self) -> u64 {
        self.0.answered.load(Ordering::Relaxed)
    }

    /// Whether places may have been lost, which none but new connections bring back.
    pub(super) fn lost_some(&self) -> bool {
        self.current().abandoned.load(Ordering::Relaxed)
    }

    /// Whether the database answers on a connection that is none of the pool's.
    pub(super) async fn would_answer(&self) -> bool {
        let mut options = self.0.options.clone();
        options.min_connections(0).max_connections(1);
        // Boxed, for whoever waits should not carry the room that connecting takes.
        let asking = Box::pin(async {
            let connection = Database::connect(options).await?;
            connection.execute_unprepared("SELECT 1").await?;
            connection.close().await
        });
        self.in_time(asking).await.is_ok()
    }

    /// Takes new connections, which are made when they are needed, for the old ones. Where those are `dead`, whoever waits for them is
    /// told at once that it failed; else each has its time.
    pub(super) async fn replace(&self, dead: bool) -> Result<(), DbErr> {
        let mut options = self.0.options.clone();
        options.connect_lazy(true);
        let new = Current::new(Database::connect(options).await?);
        let old = std::mem::replace(&mut *self.0.current.write().unwrap_or_else(PoisonError::into_inner), new);
        if dead {
            old.given_up.cancel();
        }
        let rest = self.0.deadline.unwrap_or_default();
        tokio::spawn(async move {
            tokio::time::sleep(rest).await;
            // Those that are well are closed as they come back. Of a silent one the operating system hears no more some day.
            drop(old.connections.close().await);
        });
        Ok(())
    }

    /// Closes all connections once what they are doing is done, or at its deadline.
    pub(super) async fn close(&self) {
        if let Err(error) = self.in_time(self.connections().close()).await {
            tracing::warn!(error = %Storage::from(error), "closing the database");
        }
    }

    fn current(&self) -> Current {
        self.0.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn failed(why: &str) -> DbErr {
    DbErr::Custom(why.to_owned())
}

/// Whether an error is what the database said, and not that it said nothing.
fn is_answer(error: &DbErr) -> bool {
    matches!(
        error,
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))
            if error.as_database_error().is_some()
    )
}

/// The file that was opened.
struct File {
    path: PathBuf,
    identity: (u64, u64),
}

impl File {
    fn at(path: &Path) -> Option<Self> {
        Some(Self { path: path.to_owned(), identity: identity(path)? })
    }

    fn is_still_there(&self) -> Result<(), DbErr> {
        if identity(&self.path) == Some(self.identity) {
            return Ok(());
        }
        let path = self.path.display();
        Err(DbErr::Custom(format!(
            "{path} is no longer the file that was opened: it was moved, deleted or replaced; put it back, or restart the \
             service on what is there now"
        )))
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

#[async_trait]
impl ConnectionTrait for Pool {
    fn get_database_backend(&self) -> DatabaseBackend {
        self.0.backend
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.ask(|connections| async move { connections.execute_raw(statement).await }).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.ask(|connections| async move { connections.execute_unprepared(sql).await }).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.ask(|connections| async move { connections.query_one_raw(statement).await }).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.ask(|connections| async move { connections.query_all_raw(statement).await }).await
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").field(&self.0.backend).finish()
    }
}
