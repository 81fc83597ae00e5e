//! Counters for the limits on guessing, in the database so that replicas share them.

use sea_orm_migration::{
    prelude::{DbErr, DeriveMigrationName, MigrationTrait, SchemaManager, async_trait},
    schema::{big_integer, string_len},
};

use crate::table;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table::create(manager, "attempt", |table| {
            table
                .col(string_len("subject", 200).primary_key())
                .col(big_integer("count"))
                .col(big_integer("expires_at"));
        })
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table::drop(manager, "attempt").await
    }
}
