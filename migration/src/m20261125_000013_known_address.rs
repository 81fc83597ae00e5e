//! From where users logged in lately, so that others' failures do not lock them out there; with an index for those that are so
//! no longer.

use sea_orm_migration::{
    prelude::{DbErr, DeriveMigrationName, Index, MigrationTrait, SchemaManager, async_trait},
    schema::{big_integer, string_len, uuid},
};

use crate::table;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table::create(manager, "known_address", |table| {
            table
                .col(uuid("user_id"))
                .col(string_len("address", 64))
                .col(big_integer("expires_at"))
                .primary_key(Index::create().col("user_id").col("address"));
        })
        .await?;
        let index = Index::create().col("expires_at").to_owned();
        table::create_index(manager, "known_address", "known_address_expires_at", index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table::drop(manager, "known_address").await
    }
}
