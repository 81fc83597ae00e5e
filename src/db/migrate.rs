//! Schema steps, under a lock and in as few transactions as the engine allows.

use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Statement};

use super::{Db, dialect};

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
    ask(&txn, dialect::lock_schema(db.engine())).await?;
    Ok(txn)
}

/// The lock is given back whether or not the steps went well; what they did is kept only if they did.
async fn unlock(db: &Db, txn: DatabaseTransaction, result: Result<(), DbErr>) -> Result<(), DbErr> {
    ask(&txn, dialect::unlock_schema(db.engine())).await?;
    match result {
        Ok(()) => txn.commit().await,
        Err(error) => {
            txn.rollback().await?;
            Err(error)
        }
    }
}

async fn ask(txn: &DatabaseTransaction, statement: Option<&'static str>) -> Result<(), DbErr> {
    if let Some(statement) = statement {
        txn.query_one_raw(Statement::from_string(txn.get_database_backend(), statement)).await?;
    }
    Ok(())
}
