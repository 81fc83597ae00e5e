//! Schema steps, under a lock and in as few transactions as the engine allows.

use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Statement};

use super::{Db, dialect};
use crate::error::Storage;

/// One schema step and whether it has been taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// Whether this database has it.
    pub applied: bool,
}

/// Takes every step that is missing; two replicas may do so at once.
pub async fn up(db: &Db) -> Result<(), DbErr> {
    let txn = lock(db).await?;
    let result = Migrator::up(&txn, None).await;
    unlock(db, txn, result).await
}

/// Takes back the last `steps` steps, with the data that they hold.
pub async fn down(db: &Db, steps: u32) -> Result<(), DbErr> {
    let txn = lock(db).await?;
    let result = Migrator::down(&txn, Some(steps)).await;
    unlock(db, txn, result).await
}

/// Takes back every step and takes them anew: an empty database.
pub async fn fresh(db: &Db) -> Result<(), DbErr> {
    let txn = lock(db).await?;
    let result = match Migrator::down(&txn, None).await {
        Ok(()) => Migrator::up(&txn, None).await,
        Err(error) => Err(error),
    };
    unlock(db, txn, result).await
}

/// All steps that this program knows, oldest first; changes nothing.
pub async fn status(db: &Db) -> Result<Vec<Step>, DbErr> {
    let pending = Migrator::get_pending_migrations_read_only(db.reader()).await?;
    let pending: Vec<_> = pending.iter().map(|step| step.name().to_owned()).collect();
    let steps = Migrator::get_migration_files().into_iter().map(|step| step.name().to_owned());
    Ok(steps.map(|name| Step { applied: !pending.contains(&name), name }).collect())
}

async fn lock(db: &Db) -> Result<DatabaseTransaction, DbErr> {
    let txn = db.begin().await?;
    if let Some(statement) = dialect::take_your_time(db.engine()) {
        txn.execute_unprepared(statement).await?;
    }
    if let Some(statement) = dialect::lock_schema(db.engine()) {
        held(ask(&txn, statement).await?)?;
    }
    Ok(txn)
}

/// Without the lock two replicas could take the same step at once, so then nothing is done.
fn held(answer: Option<i64>) -> Result<(), DbErr> {
    if answer == Some(1) {
        return Ok(());
    }
    Err(DbErr::Migration(
        "the lock on the schema was not to be had within a minute: another process is changing it; wait until that is \
         done, or end it, and try again"
            .to_owned(),
    ))
}

/// The lock is given back whether or not the steps went well; what they did is kept only if they did.
async fn unlock(db: &Db, txn: DatabaseTransaction, result: Result<(), DbErr>) -> Result<(), DbErr> {
    match result {
        Ok(()) => {
            release(db, &txn).await?;
            txn.commit().await
        }
        Err(error) => {
            // The steps' error says more than one that it brings about.
            if let Err(error) = release(db, &txn).await {
                tracing::warn!(error = %Storage::from(error), "the lock on the schema was not given back");
            }
            txn.rollback().await?;
            Err(error)
        }
    }
}

async fn release(db: &Db, txn: &DatabaseTransaction) -> Result<(), DbErr> {
    match dialect::unlock_schema(db.engine()) {
        Some(statement) => ask(txn, statement).await.map(drop),
        None => Ok(()),
    }
}

async fn ask(txn: &DatabaseTransaction, statement: &'static str) -> Result<Option<i64>, DbErr> {
    let row = txn.query_one_raw(Statement::from_string(txn.get_database_backend(), statement)).await?;
    row.map_or(Ok(None), |row| row.try_get_by_index(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_not_held_is_an_error_that_says_what_to_do() {
        assert!(held(Some(1)).is_ok());
        for refused in [Some(0), None] {
            let error = held(refused).unwrap_err().to_string();
            assert!(error.contains("another process") && error.contains("try again"), "{error}");
        }
    }
}
