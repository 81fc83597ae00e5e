//! The log of an `SQLite` file, and when what is in it is written to the file.
//!
//! `SQLite` does that in the commit that makes the log long, and all writers wait for it meanwhile. Who writes much, such as a
//! purge, has it done by a connection of its own beside them: nobody waits, and it may be done less often, so that a page that
//! was changed many times is written once. The writer keeps more pages meanwhile.

use sea_orm::{
    ConnectionTrait, DatabaseBackend, DbErr, RuntimeErr, Statement,
    sqlx::{
        self, ConnectOptions as _, Connection as _,
        sqlite::{SqliteConnectOptions, SqliteSynchronous},
    },
};

use super::{BUSY, Db};
use crate::error::Storage;

/// What the writer does by itself: write the log to the file after 4 MiB, and keep 2 MiB of pages. These are `SQLite`'s defaults.
const USUAL: &str = "PRAGMA wal_autocheckpoint = 1000; PRAGMA cache_size = -2000";

/// While much is written: 8 MiB of pages.
const MORE_PAGES: &str = "PRAGMA cache_size = -8000";

/// While somebody sees to the log: at 64 MiB all the same, and as many pages.
const SEEN_TO: &str = "PRAGMA wal_autocheckpoint = 16000; PRAGMA cache_size = -8000";

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
    /// Keeps more pages, until [`Db::write_as_usual`].
    pub async fn keep_more_pages(&self) {
        self.tell_writer(MORE_PAGES).await;
    }

    /// Writes the log to the file, which commits do from now on only if it gets very long, until [`Db::write_as_usual`].
    pub async fn write_log(&self) {
        let Some(options) = &self.log.0 else { return };
        self.tell_writer(SEEN_TO).await;
        told(checkpoint(options).await.map_err(|error| DbErr::Exec(RuntimeErr::SqlxError(error.into()))));
    }

    /// Commits see to the log again, and few pages are kept.
    pub async fn write_as_usual(&self) {
        self.tell_writer(USUAL).await;
    }

    async fn tell_writer(&self, pragmas: &str) {
        if self.log.0.is_some() {
            told(self.writer.execute_unprepared(pragmas).await.map(drop));
        }
    }

    /// A number that is another one once somebody else has written to the file; none where there is no such file.
    pub async fn writes_of_others(&self) -> Option<i64> {
        self.log.0.as_ref()?;
        let ask = Statement::from_string(DatabaseBackend::Sqlite, "PRAGMA data_version");
        self.writer.query_one_raw(ask).await.ok()??.try_get_by_index(0).ok()
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

/// It is no failure of what goes on: commits see to the log.
fn told(result: Result<(), DbErr>) {
    if let Err(error) = result {
        tracing::warn!(error = %Storage::from(error), "SQLite was not told how much is to be written, or its log not written to the file");
    }
}
