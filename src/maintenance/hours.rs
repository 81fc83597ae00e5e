//! `SQLite` only: the indexes by which tokens are found that expire. One has the hour instead of the instant, the other the instants
//! of some of them; see the migration that made them for why. (An hour is one elsewhere, too: a preview counts by them.)

use entity::{Timestamp, token};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseBackend, DbErr, Statement, StatementBuilder,
    sea_query::{Expr, ExprTrait, Order, Query, SelectStatement},
};
use uuid::Uuid;

use super::stale::Reason;
use crate::app::App;

/// An hour, in milliseconds.
pub const HOUR: i64 = 60 * 60 * 1000;

/// One token in so many is in the sample.
pub const ONE_IN: u64 = 31;

/// A place in the index: an hour, and a token that expires in it.
pub type Place = (i64, Uuid);

/// The hour of an instant: how many had begun by then.
pub fn of(instant: Timestamp) -> i64 {
    instant.millis() / HOUR
}

/// The hour in which a token expires, in the words of the index.
pub fn hour() -> Expr {
    Expr::cust(format!(r#""token"."expires_at" / {HOUR}"#))
}

/// Whether a token is in the sample, in the words of that index.
pub fn in_sample() -> Expr {
    Expr::cust(format!(r#""token"."created_at" % {ONE_IN} = 0"#))
}

/// Of the tokens that expire before an instant the hour and the id, which stand in the index in this order.
pub fn ended_before(instant: Timestamp) -> SelectStatement {
    let mut ended = Query::select();
    ended.expr_as(hour(), "hour").column((token::Entity, token::Column::Id)).from(token::Entity);
    ended.and_where(hour().lte(of(instant))).and_where(token::Column::ExpiresAt.lt(instant)).take()
}

/// The columns of those.
pub const ENDED_HOUR: (&str, &str) = ("ended", "hour");
const ENDED_ID: (&str, &str) = ("ended", "id");

/// Begins a question with those. What else it asks of a token it asks of those only: `SQLite` would look up each otherwise
/// before it looks at the instant, all that expire later in the same hour included.
pub fn begin(question: &mut SelectStatement, ended: SelectStatement) -> &mut SelectStatement {
    let same = Expr::col(ENDED_ID).equals((token::Entity, token::Column::Id));
    // A cross join, for SQLite takes those in the order in which they are written.
    question.from_subquery(ended, "ended").cross_join(token::Entity).and_where(same)
}

/// A question that begins with this index and no other: the order of ids, or statistics, would lead the planner to the table itself.
pub fn ask(question: &impl StatementBuilder) -> Statement {
    let Statement { sql, values, db_backend } = DatabaseBackend::Sqlite.build(question);
    let sql = sql.replacen(r#"FROM "token""#, r#"FROM "token" INDEXED BY "token_expires_hour""#, 1);
    Statement { sql, values, db_backend }
}

/// The next stale tokens in the index, but for those that were revoked. What is kept for now is not stepped over again.
pub(super) async fn next_stale(
    app: &App,
    now: Timestamp,
    after: Option<Place>,
    most: u64,
) -> Result<Vec<Place>, DbErr> {
    let mut found = Vec::new();
    if let Some(place) = after {
        found = places(app, rest_of_hour(app, now, place, most)).await?;
    }
    let left = most.saturating_sub(found.len() as u64);
    if left > 0 {
        found.extend(places(app, later_hours(app, now, after.map(|(hour, _)| hour), left)).await?);
    }
    Ok(found)
}

async fn places(app: &App, question: Statement) -> Result<Vec<Place>, DbErr> {
    let rows = app.db.reader().query_all_raw(question).await?;
    rows.iter().map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))).collect()
}

/// The first stale tokens that expired in the same hour as one and stand behind it.
pub fn rest_of_hour(app: &App, now: Timestamp, (hour, id): Place, most: u64) -> Statement {
    let mut ended = ended_before(Reason::Expired.cutoff(app, now));
    ended.and_where(self::hour().eq(hour)).and_where(token::Column::Id.gt(id));
    // By the id alone, or SQLite would sort what is sorted.
    ask(stale(app, now, ended).order_by(ENDED_ID, Order::Asc).limit(most))
}

/// The first of those that expired in a later hour, or in any.
pub fn later_hours(app: &App, now: Timestamp, hour: Option<i64>, most: u64) -> Statement {
    let mut ended = ended_before(Reason::Expired.cutoff(app, now));
    ended.and_where_option(hour.map(|hour| self::hour().gt(hour)));
    ask(stale(app, now, ended).order_by(ENDED_HOUR, Order::Asc).order_by(ENDED_ID, Order::Asc).limit(most))
}

fn stale(app: &App, now: Timestamp, ended: SelectStatement) -> SelectStatement {
    let mut stale = Query::select();
    stale.columns([ENDED_HOUR, ENDED_ID]).cond_where(Reason::Expired.stale(app, now));
    begin(&mut stale, ended).take()
}
