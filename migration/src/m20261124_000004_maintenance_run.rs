//! What maintenance did, kept as data: the key is time-ordered, so history and its own purge need no further index.

use sea_orm_migration::{
    prelude::{DbErr, DeriveMigrationName, MigrationTrait, SchemaManager, async_trait},
    schema::{big_integer, big_integer_null, string_len, string_len_null, text_null, uuid},
};

use crate::table;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table::create(manager, "maintenance_run", |table| {
            table
                .col(uuid("id").primary_key())
                .col(string_len("job", 32))
                .col(string_len("replica", 128))
                .col(string_len("trigger", 16))
                .col(big_integer("started_at"))
                .col(big_integer_null("finished_at"))
                .col(string_len_null("outcome", 16))
                .col(big_integer("deleted_expired"))
                .col(big_integer("deleted_revoked"))
                .col(big_integer("batches"))
                .col(big_integer("slowest_batch_ms"))
                .col(big_integer_null("backlog"))
                .col(text_null("error"));
        })
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table::drop(manager, "maintenance_run").await
    }
}
