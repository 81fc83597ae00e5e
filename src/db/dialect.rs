//! Statements that say the same to each engine, in its own words. What only `SQLite` has to do stands in `maintenance/`, in `ranges.rs`,
//! `hours.rs`, `owners.rs` and `sqlite.rs`, and how tokens are made together in `token/at_once.rs`; besides these and `db`'s own files only
//! maintenance asks which engine it talks to.

use std::time::Duration;

use entity::{Timestamp, token};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, IdenStatic, Statement,
    sea_query::{DeleteStatement, Expr, ExprTrait, LockBehavior, LockType, Order, Query, UpdateStatement},
};

use super::Engine;

/// Asks for the database's clock, in Unix milliseconds.
pub fn current_millis(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)",
        Engine::Postgres => "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
        Engine::MySql => "SELECT CAST(UNIX_TIMESTAMP(SYSDATE(3)) * 1000 AS SIGNED)",
    }
}

/// Makes the transactions of a session read what is committed.
pub const READ_COMMITTED_MYSQL: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
/// The same.
pub const READ_COMMITTED_POSTGRES: &str = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// Lets a session wait for a row that somebody else holds only for so long: it is how long a statement may take.
pub fn lock_wait_mysql(most: Duration) -> String {
    format!("SET SESSION innodb_lock_wait_timeout = {}", std::cmp::max(most.as_secs(), 1))
}

/// Asks a session for what only some of these servers have: a name and a value each.
pub const VARIABLES_MYSQL: &str =
    "SHOW VARIABLES WHERE Variable_name IN ('wsrep_on', 'idle_write_transaction_timeout')";
/// Ends the transactions of a session whose process is not heard of any more, in so many seconds: it may hold what others wait
/// for, and a machine that is gone closes no connection.
pub const ABANDONED_MYSQL: &str = "SET SESSION idle_write_transaction_timeout = 5";
/// The same.
pub const ABANDONED_POSTGRES: &str = "SET SESSION idle_in_transaction_session_timeout = '5s'";
/// Makes the reads of a session on such a node wait for what was committed on the others: promises rest on them.
pub const GALERA_READS_WAIT: &str = "SET SESSION wsrep_sync_wait = 1";

/// Deletes at most `limit` rows that meet `condition`, in the order of `column`; `key` is the table's primary
/// key, all of it.
///
/// MariaDB limits a DELETE itself; the others delete what a limited SELECT names, PostgreSQL by the rows' places
/// (three to five times as fast as by key) and stepping over rows that somebody else holds.
pub fn delete_some<C: ColumnTrait>(
    engine: Engine,
    key: &[C],
    condition: Condition,
    column: C,
    limit: u64,
) -> DeleteStatement {
    let mut delete = Query::delete();
    delete.from_table(C::EntityName::default()).cond_where(among_first(engine, key, condition, column, limit));
    if engine == Engine::MySql {
        delete.order_by(column, Order::Asc).limit(limit);
    }
    delete
}

/// Sets columns of at most `limit` rows, chosen like those of [`delete_some`].
pub fn update_some<C: ColumnTrait>(
    engine: Engine,
    key: &[C],
    values: impl IntoIterator<Item = (C, Expr)>,
    condition: Condition,
    column: C,
    limit: u64,
) -> UpdateStatement {
    let mut update = Query::update();
    update
        .table(C::EntityName::default())
        .values(values)
        .cond_where(among_first(engine, key, condition, column, limit));
    if engine == Engine::MySql {
        update.order_by(column, Order::Asc).limit(limit);
    }
    update
}

/// The condition that a row is one of those; where a statement can be limited itself, it is not in here.
///
/// On PostgreSQL the condition stands in it again: a row may change between being chosen and being changed. On `SQLite` none can,
/// for whoever writes is alone; there the planner, going by statistics of a smaller table, was seen to look at all rows that meet
/// the condition for each batch.
fn among_first<C: ColumnTrait>(engine: Engine, key: &[C], condition: Condition, column: C, limit: u64) -> Condition {
    let mut chosen = Query::select();
    chosen.from(C::EntityName::default()).cond_where(condition.clone()).order_by(column, Order::Asc).limit(limit);
    match engine {
        Engine::MySql => condition,
        Engine::Postgres => {
            chosen.expr(Expr::cust("ctid")).lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
            let places = Expr::SubQuery(None, Box::new(chosen.into()));
            Condition::all().add(condition).add(Expr::cust_with_exprs("ctid = ANY(ARRAY($1))", [places]))
        }
        Engine::Sqlite => {
            chosen.columns(key.iter().copied());
            Expr::tuple(key.iter().map(|column| Expr::col(*column))).in_subquery(chosen).into()
        }
    }
}

/// A DELETE that tells how many rows it deleted, and where in the order of `column` the last of them was; none where that is not
/// needed.
///
/// `PostgreSQL` leaves deleted rows in its indexes until it vacuums. A batch that began at the beginning again would step over all
/// that were deleted before it: of nine million rows that took three quarters of the time.
pub fn counting(engine: Engine, delete: &Statement, column: token::Column) -> Option<Statement> {
    let column = column.as_str();
    let sql = format!("{COUNTING} ({} RETURNING {column}) SELECT COUNT(*), MAX({column}) FROM gone", delete.sql);
    (engine == Engine::Postgres).then(|| Statement { sql, ..delete.clone() })
}

const COUNTING: &str = "WITH gone AS";

/// Carries out a statement that may be one of those.
pub async fn counted(txn: &impl ConnectionTrait, statement: Statement) -> Result<(u64, Option<Timestamp>), DbErr> {
    if !statement.sql.starts_with(COUNTING) {
        return Ok((txn.execute_raw(statement).await?.rows_affected(), None));
    }
    let Some(row) = txn.query_one_raw(statement).await? else { return Ok((0, None)) };
    let (rows, last): (i64, Option<i64>) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    Ok((rows.unsigned_abs(), last.map(Timestamp::from_millis)))
}

/// The condition that a token is this user's, whose id may be that of a row at hand.
///
/// `SQLite` has a table for it instead of an index, see the migration that made it.
pub fn tokens_of(engine: Engine, user: impl Into<Expr>) -> Condition {
    if engine != Engine::Sqlite {
        return token::Column::UserId.into_expr().eq(user).into();
    }
    let mut theirs = Query::select();
    theirs.column("id").from("token_owner").and_where(Expr::col("user_id").eq(user));
    Expr::col((token::Entity, token::Column::Id)).in_subquery(theirs).into()
}

/// A column of text, to be put in the order of its bytes: `PostgreSQL` would ask the database's language.
pub fn by_bytes(engine: Engine, column: impl ColumnTrait) -> Expr {
    let column = column.into_expr();
    if engine == Engine::Postgres { Expr::cust_with_expr("$1 COLLATE \"C\"", column) } else { column }
}

/// Takes the lock under which schema steps run, so that replicas that start together do not race; answers 1 if it was to
/// be had.
///
/// On `SQLite` the transaction that the steps run in is the lock. `PostgreSQL`'s lock is the database's own; MariaDB's is
/// the server's, so that the database must be in its name, which is at most 64 characters long.
pub fn lock_schema(engine: Engine) -> Option<&'static str> {
    match engine {
        Engine::Postgres => Some("SELECT CAST(1 AS BIGINT) FROM (SELECT pg_advisory_xact_lock(7236837264)) AS locked"),
        Engine::MySql => Some("SELECT CAST(GET_LOCK(CONCAT('daypass-schema-', MD5(DATABASE())), 60) AS SIGNED)"),
        Engine::Sqlite => None,
    }
}

/// Gives that lock back, where the end of the transaction does not.
pub fn unlock_schema(engine: Engine) -> Option<&'static str> {
    let unlock = "SELECT CAST(RELEASE_LOCK(CONCAT('daypass-schema-', MD5(DATABASE()))) AS SIGNED)";
    (engine == Engine::MySql).then_some(unlock)
}

/// Lifts the limit on a statement's time, for the rest of the transaction, where there is one: waiting for another
/// replica's schema steps, and the steps themselves, may take longer than any request's statement.
pub fn take_your_time(engine: Engine) -> Option<&'static str> {
    (engine == Engine::Postgres).then_some("SET LOCAL statement_timeout = 0")
}
