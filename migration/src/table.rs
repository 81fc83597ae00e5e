//! What every table of ours starts from, and steps that can be gone on with.
//!
//! MariaDB and MySQL commit each statement that changes the schema by itself: a step whose process is killed stays half done, and
//! is taken from its beginning by the next one. So there what is made already is left as it is, and what is gone already is no
//! error. Elsewhere a step is done as a whole or not at all, and either would be a surprise.

use sea_orm_migration::{
    prelude::{ColumnDef, DbErr, Index, IndexCreateStatement, SchemaManager, Table, TableCreateStatement},
    sea_orm::DatabaseBackend,
};

/// Makes a table whose text compares byte by byte and whose rows lie in the order of their key.
///
/// MariaDB's default collation takes `É` for `e`. `SQLite` keeps rows by a hidden number unless told otherwise, and then
/// every deletion pays for two trees.
pub(crate) async fn create(
    manager: &SchemaManager<'_>,
    name: &'static str,
    columns: impl FnOnce(&mut TableCreateStatement) + Send,
) -> Result<(), DbErr> {
    let mut table = Table::create();
    table.table(name);
    columns(&mut table);
    let engine = manager.get_database_backend();
    if engine == DatabaseBackend::MySql {
        table.character_set("utf8mb4").collate("utf8mb4_bin");
    } else if engine == DatabaseBackend::Sqlite {
        table.extra("WITHOUT ROWID");
    }
    if may_be_half_done(manager) && manager.has_table(name).await? {
        return is_ours(manager, name, &table).await;
    }
    manager.create_table(table).await
}

/// Somebody else may have a table of that name: it must have the columns of ours.
async fn is_ours(manager: &SchemaManager<'_>, name: &str, table: &TableCreateStatement) -> Result<(), DbErr> {
    for column in table.get_columns() {
        let column = column.get_column_name();
        if !manager.has_column(name, &column).await? {
            let why = format!("table {name} already exists, and is not Daypass's: it has no column {column}");
            return Err(DbErr::Custom(why));
        }
    }
    Ok(())
}

/// Takes a table back.
pub(crate) async fn drop(manager: &SchemaManager<'_>, name: &'static str) -> Result<(), DbErr> {
    let mut table = Table::drop();
    table.table(name);
    if may_be_half_done(manager) {
        table.if_exists();
    }
    manager.drop_table(table).await
}

/// Gives a table another column.
pub(crate) async fn add_column(
    manager: &SchemaManager<'_>,
    table: &'static str,
    column: &ColumnDef,
) -> Result<(), DbErr> {
    if may_be_half_done(manager) && manager.has_column(table, column.get_column_name()).await? {
        return Ok(());
    }
    manager.alter_table(Table::alter().table(table).add_column(column.clone()).to_owned()).await
}

/// Takes a column back.
pub(crate) async fn drop_column(
    manager: &SchemaManager<'_>,
    table: &'static str,
    name: &'static str,
) -> Result<(), DbErr> {
    if may_be_half_done(manager) && !manager.has_column(table, name).await? {
        return Ok(());
    }
    manager.alter_table(Table::alter().table(table).drop_column(name).to_owned()).await
}

/// Makes an index of this name on this table.
pub(crate) async fn create_index(
    manager: &SchemaManager<'_>,
    table: &'static str,
    name: &'static str,
    mut index: IndexCreateStatement,
) -> Result<(), DbErr> {
    if may_be_half_done(manager) && manager.has_index(table, name).await? {
        return Ok(());
    }
    manager.create_index(index.name(name).table(table).to_owned()).await
}

/// Takes an index back.
pub(crate) async fn drop_index(
    manager: &SchemaManager<'_>,
    table: &'static str,
    name: &'static str,
) -> Result<(), DbErr> {
    if may_be_half_done(manager) && !manager.has_index(table, name).await? {
        return Ok(());
    }
    manager.drop_index(Index::drop().name(name).table(table).to_owned()).await
}

/// Whether a step may find itself half done.
fn may_be_half_done(manager: &SchemaManager<'_>) -> bool {
    manager.get_database_backend() == DatabaseBackend::MySql
}
