//! When tokens end, on SQLite: the index has the hour instead of the instant.
//!
//! Tokens lie in the order of their making. Those that are made together end together by and large, but one in some was renewed or
//! lives for another time, and an index of instants has these scattered: the more tokens end in a day, the fewer neighbours a batch
//! of deletions finds in a page of it. Measured, that halved the rate of a purge among ten million tokens against one million. By the
//! hour, what ends in the same hour lies as in the table. The instant is in it, too, so that the hour in which a purge must stop
//! can be looked through without the table.
//!
//! How many end when is estimated by the order of instants. For that one token of thirty-one has an index of it, by the millisecond
//! of its making: enough of them where they are too many to be counted. (A prime, as no round number of seconds or hours is a
//! multiple of it. It is in the index, or SQLite would look it up for each. The last byte of the id, which is random, took three times as long to tell. Thousands that were all made in the
//! same millisecond would be all in it, or none of them.)
//!
//! The servers keep the index: their deletions do not touch it, as with whose tokens are whose.

use sea_orm_migration::{
    prelude::{DbErr, DeriveMigrationName, Index, MigrationTrait, SchemaManager, async_trait},
    sea_orm::{ConnectionTrait, DatabaseBackend},
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const INDEX: &str = "token_expires_at";

const UP: &str = "
    CREATE INDEX token_expires_hour ON token (expires_at / 3600000, id, expires_at);
    CREATE INDEX token_expires_sample ON token (expires_at, created_at) WHERE created_at % 31 = 0;
";

const DOWN: &str = "DROP INDEX token_expires_hour; DROP INDEX token_expires_sample;";

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
        manager.create_index(Index::create().name(INDEX).table("token").col("expires_at").to_owned()).await
    }
}
