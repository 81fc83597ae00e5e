//! What replicas agree on about each job of maintenance: who runs it, what was served last. And of each run what it did away
//! with besides tokens; runs are asked for by their job, so there is an index for that.

use sea_orm_migration::{
    prelude::{DbErr, DeriveMigrationName, Index, MigrationTrait, SchemaManager, Table, async_trait},
    schema::{big_integer, big_integer_null, string_len, string_len_null, uuid_null},
};

use crate::table;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const INDEX: &str = "maintenance_run_job";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                table::create(manager, "maintenance_job")
                    .col(string_len("name", 32).primary_key())
                    .col(string_len("holder", 128))
                    .col(uuid_null("run_id"))
                    .col(big_integer("fence"))
                    .col(big_integer("lease_expires_at"))
                    .col(big_integer("served_at"))
                    .col(uuid_null("last_run_id"))
                    .col(big_integer_null("accepted_at"))
                    .col(big_integer_null("succeeded_at"))
                    .col(string_len_null("position", 64))
                    .to_owned(),
            )
            .await?;
        let runs =
            Table::alter().table("maintenance_run").add_column(big_integer("deleted_other").default(0)).to_owned();
        manager.alter_table(runs).await?;
        let index = Index::create().name(INDEX).table("maintenance_run").col("job").col("id").to_owned();
        manager.create_index(index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name(INDEX).table("maintenance_run").to_owned()).await?;
        manager.alter_table(Table::alter().table("maintenance_run").drop_column("deleted_other").to_owned()).await?;
        manager.drop_table(Table::drop().table("maintenance_job").to_owned()).await
    }
}
