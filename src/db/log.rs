//! The log of an `SQLite` file, and when what is in it is written to the file.
//!
//! `SQLite` does that in the commit that makes the log long, and all writers wait for it meanwhile. Who writes much, such as a
//! purge, has it done by a connection of its own beside them: nobody waits, and it may be done less often, so that a page that
//! was changed many times is written once. The writer keeps more pages, too.

use sea_orm::{
    ConnectionTrait, DatabaseBackend, DbErr, RuntimeErr, Statement,
    sqlx::{
        self, ConnectOptions as _, Connection as _,
        sqlite::{SqliteConnectOptions, SqliteSynchronous},
    },
};

use super::{BUSY, Db};
use crate::error::Storage;

/// What the writer does by itself: write the log to the file after 4 MiB. It is `SQLite`'s default.
const SEEN_TO_IN_COMMITS: &str = "PRAGMA wal_autocheckpoint = 1000";

/// How much it keeps: 2 MiB of pages. This, too.
const USUAL: &str = "PRAGMA cache_size = -2000";

/// While it writes much: 8 MiB of pages.
const MUCH: &str = "PRAGMA cache_size = -8000";

/// While somebody sees to the log: at 64 MiB all the same.
const SEEN_TO: &str = "PRAGMA wal_autocheckpoint = 16000";

/// How the file is opened for it; none for one in memory, which has no log.
#[derive(Clone, Debug, Default)]
pub(super) struct Log(Option<SqliteConnectOptions>);

impl Log {
    pub fn of(file: SqliteConnectOptions, synchronous: SqliteSynchronous) -> Self {
        Self(Some(
            file.create_if_missing(false).synchronous(synchronous).busy_timeout(BUSY).disable_statement_logging(),
        ))
    }
}

impl Db {
    /// Prepares for much that is to be written, until [`Db::write_as_usual`].
    pub async fn write_much(&self) {
        if self.log.0.is_some() {
            told(self.writer.execute_unprepared(MUCH).await.map(drop));
        }
    }

    /// Writes the log to the file, which commits do from now on only if it gets very long, until [`Db::leave_log_to_commits`].
    pub async fn write_log(&self) {
        let Some(options) = &self.log.0 else { return };
        let result = async {
            self.writer.execute_unprepared(SEEN_TO).await?;
            checkpoint(options).await.map_err(|error| DbErr::Exec(RuntimeErr::SqlxError(error.into())))
        };
        told(result.await);
    }

    /// Commits see to the log again.
    pub async fn leave_log_to_commits(&self) {
        if self.log.0.is_some() {
            told(self.writer.execute_unprepared(SEEN_TO_IN_COMMITS).await.map(drop));
        }
    }

    /// Few pages are kept again.
    pub async fn write_as_usual(&self) {
        if self.log.0.is_some() {
            told(self.writer.execute_unprepared(USUAL).await.map(drop));
        }
    }

    /// A number that is another one once somebody else has written to the file; none where there is no such file.
    pub async fn writes_of_others(&self) -> Result<Option<i64>, DbErr> {
        if self.log.0.is_none() {
            return Ok(None);
        }
        let ask = Statement::from_string(DatabaseBackend::Sqlite, "PRAGMA data_version");
        self.writer.query_one_raw(ask).await?.map(|row| row.try_get_by_index(0)).transpose()
    }
}

/// Twice, for others write meanwhile: the log begins anew once all of it is in the file, and the second time that is little.
async fn checkpoint(options: &SqliteConnectOptions) -> Result<(), sqlx::Error> {
    let mut connection = options.connect().await?;
    for _ in 0..2 {
        sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(&mut connection).await?;
    }
    connection.close().await
}

/// It is no failure of what goes on: the next commits see to the log.
fn told(result: Result<(), DbErr>) {
    if let Err(error) = result {
        tracing::warn!(error = %Storage::from(error), "SQLite was not told how much is to be written, or its log not written to the file");
    }
}
