//! An index for sweeping counters whose window is over: without it each batch reads all of them.

use sea_orm_migration::prelude::{DbErr, DeriveMigrationName, Index, MigrationTrait, SchemaManager, async_trait};

use crate::table;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const NAME: &str = "attempt_expires_at";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table::create_index(manager, "attempt", NAME, Index::create().col("expires_at").to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table::drop_index(manager, "attempt", NAME).await
    }
}
