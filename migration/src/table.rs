//! What every table of ours starts from.

use sea_orm_migration::{
    prelude::{SchemaManager, Table, TableCreateStatement},
    sea_orm::DatabaseBackend,
};

/// A table whose text compares byte by byte and whose rows lie in the order of their key.
///
/// MariaDB's default collation takes `É` for `e`. `SQLite` keeps rows by a hidden number unless told otherwise, and then
/// every deletion pays for two trees.
pub(crate) fn create(manager: &SchemaManager<'_>, name: &'static str) -> TableCreateStatement {
    let mut table = Table::create();
    table.table(name);
    let engine = manager.get_database_backend();
    if engine == DatabaseBackend::MySql {
        table.character_set("utf8mb4").collate("utf8mb4_bin");
    } else if engine == DatabaseBackend::Sqlite {
        table.extra("WITHOUT ROWID");
    }
    table
}
