//! Every statement that the three engines do not share. Besides this file only `db`'s own asks which one it talks to: to
//! open it, to begin a transaction, and to keep a statement's text for each.

use sea_orm::{
    ColumnTrait, Condition,
    sea_query::{DeleteStatement, Expr, ExprTrait, LockBehavior, LockType, Order, Query},
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

/// Deletes at most `limit` rows that meet `condition`, in the order of `column`; `key` is the table's primary key.
///
/// MariaDB limits a DELETE itself; the others delete what a limited SELECT names, PostgreSQL by the rows' places
/// (three to five times as fast as by key) and stepping over rows that somebody else holds. The condition stands in
/// the DELETE again: a row may change between being chosen and being deleted.
pub fn delete_some<C: ColumnTrait>(
    engine: Engine,
    key: C,
    condition: Condition,
    column: C,
    limit: u64,
) -> DeleteStatement {
    let table = C::EntityName::default();
    let mut delete = Query::delete();
    delete.from_table(table).cond_where(condition.clone());
    if engine == Engine::MySql {
        return delete.order_by(column, Order::Asc).limit(limit).to_owned();
    }
    let mut chosen = Query::select();
    chosen.from(table).cond_where(condition).order_by(column, Order::Asc).limit(limit);
    if engine == Engine::Postgres {
        chosen.expr(Expr::cust("ctid")).lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
        delete
            .and_where(Expr::cust_with_exprs("ctid = ANY(ARRAY($1))", [Expr::SubQuery(None, Box::new(chosen.into()))]));
    } else {
        chosen.column(key);
        delete.and_where(Expr::col(key).in_subquery(chosen));
    }
    delete
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
