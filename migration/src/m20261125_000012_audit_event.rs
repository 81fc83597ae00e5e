//! The audit trail. Its key is the time, and it has no other index: one on whose event it is would cost every issue of a token
//! a page of its own, for a question that is asked now and then; a reader goes through the rows in the order of their time.

use sea_orm_migration::{
    prelude::{DbErr, DeriveMigrationName, MigrationTrait, SchemaManager, async_trait},
    schema::{big_integer, string_len, string_len_null, uuid, uuid_null},
};

use crate::table;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table::create(manager, "audit_event", |table| {
            table
                .col(uuid("id").primary_key())
                .col(string_len("event", 32))
                .col(string_len("actor_kind", 16))
                .col(string_len_null("actor_id", 64))
                .col(uuid_null("actor_token_id"))
                .col(uuid_null("user_id"))
                .col(string_len_null("client_id", 64))
                .col(uuid_null("token_id"))
                .col(string_len_null("address", 45))
                .col(string_len_null("request_id", 64))
                .col(string_len_null("reason", 200))
                .col(big_integer("count"));
        })
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table::drop(manager, "audit_event").await
    }
}
