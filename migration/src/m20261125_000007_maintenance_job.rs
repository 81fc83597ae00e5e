//! What replicas agree on about each job of maintenance: who runs it, what was served last. And of each run what it did away
//! with besides tokens; runs are asked for by their job, so there is an index for that.

use sea_orm_migration::{
    prelude::{DbErr, DeriveMigrationName, Index, MigrationTrait, SchemaManager, async_trait},
    schema::{big_integer, big_integer_null, string_len, string_len_null, uuid_null},
};

use crate::table;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const RUNS: &str = "maintenance_run";
const OTHER: &str = "deleted_other";
const INDEX: &str = "maintenance_run_job";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table::create(manager, "maintenance_job", |table| {
            table
                .col(string_len("name", 32).primary_key())
                .col(string_len("holder", 128))
                .col(uuid_null("run_id"))
                .col(big_integer("fence"))
                .col(big_integer("lease_expires_at"))
                .col(big_integer("served_at"))
                .col(uuid_null("last_run_id"))
                .col(big_integer_null("accepted_at"))
                .col(big_integer_null("succeeded_at"))
                .col(string_len_null("position", 64));
        })
        .await?;
        table::add_column(manager, RUNS, big_integer(OTHER).default(0)).await?;
        table::create_index(manager, RUNS, INDEX, Index::create().col("job").col("id").to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table::drop_index(manager, RUNS, INDEX).await?;
        table::drop_column(manager, RUNS, OTHER).await?;
        table::drop(manager, "maintenance_job").await
    }
}
