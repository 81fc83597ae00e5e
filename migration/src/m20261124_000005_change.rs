//! What changed lately, so that whoever remembers tokens can ask for it cheaply. The key is the order of writing: what is
//! new lies together, no other index is needed, and the tokens' own table needs none for it.

use sea_orm_migration::{
    prelude::{DbErr, DeriveMigrationName, Index, MigrationTrait, SchemaManager, async_trait},
    schema::{big_integer, uuid},
};

use crate::table;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table::create(manager, "change", |table| {
            table
                .col(big_integer("second"))
                .col(uuid("id"))
                .col(uuid("token_id"))
                .primary_key(Index::create().col("second").col("id"));
        })
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table::drop(manager, "change").await
    }
}
