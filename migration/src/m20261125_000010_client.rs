//! OAuth clients, and an index that finds the tokens of one, of the few tokens that were issued to any: to end them must not
//! mean to read all there are.

use sea_orm_migration::{
    prelude::{
        ConditionalStatement, DbErr, DeriveMigrationName, Expr, ExprTrait, Index, MigrationTrait, SchemaManager,
        async_trait,
    },
    schema::{big_integer, big_integer_null, small_integer, string_len, text, var_binary, var_binary_null},
    sea_orm::DatabaseBackend,
};

use crate::table;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Name, table and columns of each; the latter two are for the maintenance.
const INDEXES: [(&str, &str, &[&str]); 3] = [
    (TOKENS, "token", &["client_id", "id"]),
    ("client_previous_expires_at", "client", &["previous_expires_at"]),
    ("client_deleted_at", "client", &["deleted_at"]),
];
const TOKENS: &str = "token_client";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table::create(manager, "client", |table| {
            table
                .col(string_len("client_id", 64).primary_key())
                .col(string_len("name", 200))
                .col(small_integer("digest_algorithm"))
                .col(var_binary("digest", 32))
                .col(var_binary_null("previous_digest", 32))
                .col(big_integer_null("previous_expires_at"))
                .col(text("scopes"))
                .col(text("grants"))
                .col(big_integer("created_at"))
                .col(big_integer_null("disabled_at"))
                .col(big_integer_null("deleted_at"))
                .col(big_integer("changed_at"));
        })
        .await?;
        for (name, on, columns) in INDEXES {
            let mut index = Index::create();
            for column in columns {
                index.col(*column);
            }
            // Where an index can leave the others out, they cost nothing.
            if manager.get_database_backend() != DatabaseBackend::MySql {
                index.and_where(Expr::col(columns[0]).is_not_null());
            }
            table::create_index(manager, on, name, index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table::drop_index(manager, "token", TOKENS).await?;
        table::drop(manager, "client").await
    }
}
