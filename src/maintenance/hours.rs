//! `SQLite` only: the indexes by which tokens are found that expire. One has the hour instead of the instant, the other the instants
//! of some of them; see the migration that made them for why.

use entity::Timestamp;
use sea_orm::{
    DatabaseBackend, EntityTrait, QueryTrait, Select, Statement,
    sea_query::{Expr, ExprTrait},
};

/// An hour, in milliseconds.
pub const HOUR: i64 = 60 * 60 * 1000;

/// One token in so many is in the sample.
pub const ONE_IN: u64 = 31;

/// The hour of an instant: how many had begun by then.
pub fn of(instant: Timestamp) -> i64 {
    instant.millis() / HOUR
}

/// The hour in which a token expires, in the words of the index.
pub fn hour() -> Expr {
    Expr::cust(r#""token"."expires_at" / 3600000"#)
}

/// Whether a token expires in an hour.
pub fn is(hour: i64) -> Expr {
    self::hour().eq(hour)
}

/// Whether a token expires in a later hour.
pub fn is_after(hour: i64) -> Expr {
    self::hour().gt(hour)
}

/// Whether a token is in the sample, in the words of the index.
pub fn in_sample() -> Expr {
    Expr::cust(r#""token"."created_at" % 31 = 0"#)
}

/// The search by that index and no other: the order of ids, or statistics, would lead the planner to the table itself.
pub fn search<E: EntityTrait>(tokens: &Select<E>) -> Statement {
    let Statement { sql, values, db_backend } = tokens.build(DatabaseBackend::Sqlite);
    let sql = sql.replacen(r#"FROM "token""#, r#"FROM "token" INDEXED BY "token_expires_hour""#, 1);
    Statement { sql, values, db_backend }
}
