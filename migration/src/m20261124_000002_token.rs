//! Tokens, and the indexes that a purge and a user's list need.
//!
//! There is none on the digest: a check reads its row by the id inside the token. `expires_at` and `revoked_at` grow
//! with time as the key does, so what ends together lies in neighbouring pages, by and large. No foreign keys: an account's row
//! outlives its tokens by the purge's own rule, and checking that for every insert would cost an index look-up each.

use sea_orm_migration::{
    prelude::{
        ConditionalStatement, DbErr, DeriveMigrationName, Expr, ExprTrait, Index, MigrationTrait, SchemaManager,
        async_trait,
    },
    schema::{
        big_integer, big_integer_null, small_integer, string_len, string_len_null, text, uuid, uuid_null, var_binary,
        var_binary_null,
    },
    sea_orm::DatabaseBackend,
};

use crate::table;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table::create(manager, "token", |table| {
            table
                .col(uuid("id").primary_key())
                .col(string_len("kind", 1))
                .col(small_integer("digest_algorithm"))
                .col(var_binary("digest", 32))
                .col(var_binary_null("previous_digest", 32))
                .col(big_integer_null("previous_expires_at"))
                .col(string_len("hint", 4))
                .col(string_len_null("name", 200))
                .col(uuid_null("user_id"))
                .col(string_len_null("client_id", 64))
                .col(text("scopes"))
                .col(big_integer("ttl"))
                .col(big_integer_null("idle_timeout"))
                .col(big_integer("created_at"))
                .col(big_integer("expires_at"))
                .col(big_integer("ttl_expires_at"))
                .col(big_integer("max_expires_at"))
                .col(big_integer_null("last_used_at"))
                .col(big_integer_null("revoked_at"))
                .col(big_integer("changed_at"));
        })
        .await?;
        let index = Index::create().col("expires_at").to_owned();
        table::create_index(manager, "token", "token_expires_at", index).await?;
        let index = Index::create().col("user_id").col("id").to_owned();
        table::create_index(manager, "token", "token_user", index).await?;
        let mut revoked = Index::create().col("revoked_at").to_owned();
        // Few rows are revoked: where an index can leave the others out, it costs them nothing.
        if manager.get_database_backend() != DatabaseBackend::MySql {
            revoked.and_where(Expr::col("revoked_at").is_not_null());
        }
        table::create_index(manager, "token", "token_revoked_at", revoked).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table::drop(manager, "token").await
    }
}
