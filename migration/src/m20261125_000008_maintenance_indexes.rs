//! Indexes that find what maintenance looks for, of the few rows that have it: secrets whose overlap is over, of tokens that
//! were ever rotated, and users who were deleted. Without them each run would read every row.

use sea_orm_migration::{
    prelude::{
        ConditionalStatement, DbErr, DeriveMigrationName, Expr, ExprTrait, Index, MigrationTrait, SchemaManager,
        async_trait,
    },
    sea_orm::DatabaseBackend,
};

use crate::table;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Name, table and column of each.
const INDEXES: [(&str, &str, &str); 2] =
    [("token_previous_expires_at", "token", "previous_expires_at"), ("account_deleted_at", "account", "deleted_at")];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, on, column) in INDEXES {
            let mut index = Index::create().col(column).to_owned();
            // Where an index can leave the others out, they cost nothing.
            if manager.get_database_backend() != DatabaseBackend::MySql {
                index.and_where(Expr::col(column).is_not_null());
            }
            table::create_index(manager, on, name, index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, on, _) in INDEXES {
            table::drop_index(manager, on, name).await?;
        }
        Ok(())
    }
}
