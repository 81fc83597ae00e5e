//! Which refresh tokens come from which. A table of its own: the tokens' needs no further column or index for it, so that its
//! purge stays as fast as it is, and what recognises a replay outlives the tokens that the purge deletes.

use sea_orm_migration::{
    prelude::{DbErr, DeriveMigrationName, Index, MigrationTrait, SchemaManager, async_trait},
    schema::{big_integer, big_integer_null, small_integer, string_len_null, uuid, uuid_null, var_binary},
};

use crate::table;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Name and column of each: what ends with a family, whose session it is, and what maintenance looks for.
const INDEXES: [(&str, &str); 3] = [
    ("refresh_token_family", "family_id"),
    ("refresh_token_access_token", "access_token_id"),
    ("refresh_token_expires_at", "expires_at"),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table::create(manager, "refresh_token", |table| {
            table
                .col(uuid("token_id").primary_key())
                .col(uuid("family_id"))
                .col(uuid("user_id"))
                .col(string_len_null("client_id", 64))
                .col(small_integer("digest_algorithm"))
                .col(var_binary("digest", 32))
                .col(uuid("access_token_id"))
                .col(uuid_null("successor_id"))
                .col(big_integer_null("spent_at"))
                .col(big_integer("expires_at"));
        })
        .await?;
        for (name, column) in INDEXES {
            let index = Index::create().col(column).to_owned();
            table::create_index(manager, "refresh_token", name, index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table::drop(manager, "refresh_token").await
    }
}
