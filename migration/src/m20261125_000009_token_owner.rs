//! Whose tokens are whose, on SQLite: a table of its own in place of the index.
//!
//! A user's tokens lie scattered over the index of all users, so deleting old tokens of many users would rewrite one page of it
//! for each: measured, that makes the purge of a million tokens of ten thousand users seven times as slow. So a deletion leaves
//! this table alone; what is left over in it names tokens that are no more, harms nobody who joins the two, and is deleted later in
//! the table's own order, many to a page. A trigger fills it, so nobody can forget to.
//!
//! The servers keep the index: their deletions do not touch it (PostgreSQL's vacuum does that, page by page, and `InnoDB`'s
//! purge threads), and another table would cost each issue another row.

use sea_orm_migration::{
    prelude::{DbErr, DeriveMigrationName, Index, MigrationTrait, SchemaManager, async_trait},
    sea_orm::{ConnectionTrait, DatabaseBackend},
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const INDEX: &str = "token_user";

const UP: &str = "
    CREATE TABLE token_owner (user_id BLOB NOT NULL, id BLOB NOT NULL, PRIMARY KEY (user_id, id)) WITHOUT ROWID;
    INSERT INTO token_owner SELECT user_id, id FROM token WHERE user_id IS NOT NULL ORDER BY 1, 2;
    CREATE TRIGGER token_owner_insert AFTER INSERT ON token WHEN NEW.user_id IS NOT NULL
        BEGIN INSERT OR IGNORE INTO token_owner VALUES (NEW.user_id, NEW.id); END;
";

const DOWN: &str = "DROP TRIGGER token_owner_insert; DROP TABLE token_owner;";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() != DatabaseBackend::Sqlite {
            return Ok(());
        }
        manager.drop_index(Index::drop().name(INDEX).table("token").to_owned()).await?;
        manager.get_connection().execute_unprepared(UP).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() != DatabaseBackend::Sqlite {
            return Ok(());
        }
        manager.get_connection().execute_unprepared(DOWN).await?;
        manager.create_index(Index::create().name(INDEX).table("token").col("user_id").col("id").to_owned()).await
    }
}
