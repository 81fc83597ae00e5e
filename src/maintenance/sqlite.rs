//! `SQLite` only: its files and its statistics.

use std::time::Duration;

use sea_orm::{
    ConnectionTrait, DatabaseBackend, DbErr, RuntimeErr, Statement,
    sqlx::{self, Row},
};

use super::task::{Halt, Task};
use crate::app::App;

/// Pages given back in one transaction: four megabytes.
const PAGES: i64 = 1000;

/// From how many pages on statistics are worth having: forty megabytes.
const LARGE: i64 = 10_000;

/// Free pages that are kept, of so many: what was deleted makes room for what comes, and giving back all of it would make the
/// file shrink and grow for nothing.
const KEPT: i64 = 10;

/// How long a checkpoint waits for readers: while it does, writers wait for it.
const PATIENCE: Duration = Duration::from_millis(20);

/// Gives free space back, empties the log of what is in the file by now, and lets `SQLite` look at its statistics.
pub(super) async fn tidy(task: &mut Task<'_>) -> Result<(), Halt> {
    let app = task.app;
    loop {
        let (free, pages) = (number(app, "PRAGMA freelist_count").await?, number(app, "PRAGMA page_count").await?);
        if free <= PAGES || free <= pages / KEPT {
            break;
        }
        task.may_go_on()?;
        task.alone(pragma(app, &format!("PRAGMA incremental_vacuum({PAGES})"))).await?;
        task.run.deleted_other += free - number(app, "PRAGMA freelist_count").await?;
    }
    task.may_begin()?;
    // Of small tables statistics would be wrong by the time they matter, and what SQLite supposes without them suits ours.
    if number(app, "PRAGMA page_count").await? > LARGE {
        task.alone(pragma(app, "PRAGMA optimize")).await?;
    }
    task.alone(forget_statistics(app)).await?;
    task.alone(truncate_log(app)).await
}

async fn pragma(app: &App, statement: &str) -> Result<(), DbErr> {
    app.db.writer().execute_unprepared(statement).await.map(drop)
}

/// Forgets those of `token_owner`: once most users had few tokens, the planner would find an entry by its user alone, and for each
/// of somebody who has a million look at all of them.
async fn forget_statistics(app: &App) -> Result<(), DbErr> {
    for table in ["sqlite_stat1", "sqlite_stat4"] {
        if number(app, &format!("SELECT COUNT(*) FROM sqlite_schema WHERE name = '{table}'")).await? > 0 {
            pragma(app, &format!("DELETE FROM {table} WHERE tbl = 'token_owner'; ANALYZE sqlite_schema")).await?;
        }
    }
    Ok(())
}

async fn number(app: &App, pragma: &str) -> Result<i64, DbErr> {
    let statement = Statement::from_string(DatabaseBackend::Sqlite, pragma);
    let row = app.db.writer().query_one_raw(statement).await?;
    row.map_or(Ok(0), |row| row.try_get_by_index(0))
}

/// Only if there is no need to wait: a reader that takes its time, such as a backup, is left alone until the next run.
async fn truncate_log(app: &App) -> Result<(), DbErr> {
    let connections = app.db.writer().connections();
    let result = async {
        let mut connection = connections.get_sqlite_connection_pool().acquire().await?;
        let patience = format!("PRAGMA busy_timeout = {}", PATIENCE.as_millis());
        sqlx::query(sqlx::AssertSqlSafe(patience)).execute(&mut *connection).await?;
        let checkpoint = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut *connection).await;
        let usual = format!("PRAGMA busy_timeout = {}", crate::db::BUSY.as_millis());
        sqlx::query(sqlx::AssertSqlSafe(usual)).execute(&mut *connection).await?;
        if checkpoint?.try_get::<i64, _>(0)? != 0 {
            tracing::debug!("the log was not emptied: somebody reads from it");
        }
        Ok::<_, sqlx::Error>(())
    };
    result.await.map_err(|error| DbErr::Exec(RuntimeErr::SqlxError(error.into())))
}
