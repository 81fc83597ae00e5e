//! People who can log in. The table is not called `user`: that word is reserved in PostgreSQL.

use sea_orm_migration::{
    prelude::{DbErr, DeriveMigrationName, MigrationTrait, SchemaManager, async_trait},
    schema::{big_integer, big_integer_null, string_len, text, text_null, uuid},
};

use crate::table;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table::create(manager, "account", |table| {
            table
                .col(uuid("id").primary_key())
                .col(string_len("username", 150))
                // Uniqueness lives on the lower-case name, decided in code, not by a collation.
                .col(string_len("canonical_name", 150).unique_key())
                .col(text_null("password_hash"))
                .col(text("scopes"))
                .col(big_integer("epoch"))
                .col(big_integer("created_at"))
                .col(big_integer_null("last_login_at"))
                .col(big_integer_null("disabled_at"))
                .col(big_integer_null("deleted_at"))
                .col(big_integer("changed_at"));
        })
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table::drop(manager, "account").await
    }
}
