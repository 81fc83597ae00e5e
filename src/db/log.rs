//! The log of an `SQLite` file, and when what is in it is written to the file.
//!
//! `SQLite` does that in the commit that makes the log long, and all writers wait for it meanwhile. Who writes much, such as a
//! purge, has it done by a connection of its own beside them: nobody waits, and it may be done less often, so that a page that
//! was changed many times is written once. The writer keeps more pages then, too.

use sea_orm::{
    ConnectionTrait, DbErr, RuntimeErr,
    sqlx::{
        self, ConnectOptions as _, Connection as _,
        sqlite::{SqliteConnectOptions, SqliteSynchronous},
    },
};

use super::{BUSY, Db};
use crate::error::Storage;

/// What the writer does by itself: write the log to the file after 4 MiB, and keep 2 MiB of pages. These are `SQLite`'s defaults.
const USUAL: &str = "PRAGMA wal_autocheckpoint = 1000; PRAGMA cache_size = -2000";

/// The same while somebody sees to the log: at 64 MiB all the same, and 8 MiB of pages.
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
    /// Writes the log to the file, which commits do from now on only if it gets very long, until [`Db::leave_log_to_commits`].
    pub async fn write_log(&self) {
        let Some(options) = &self.log.0 else { return };
        let result = async {
            self.writer.execute_unprepared(SEEN_TO).await?;
            checkpoint(options).await.map_err(|error| DbErr::Exec(RuntimeErr::SqlxError(error.into())))
        };
        told(result.await);
    }

    /// Commits do it again.
    pub async fn leave_log_to_commits(&self) {
        if self.log.0.is_some() {
            told(self.writer.execute_unprepared(USUAL).await.map(drop));
        }
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

/// It is no failure of what goes on: the next commits do it.
fn told(result: Result<(), DbErr>) {
    if let Err(error) = result {
        tracing::warn!(error = %Storage::from(error), "SQLite's log was not seen to beside those who write");
    }
}
