//! What a purge would do, without doing it, and when tokens will expire: asked of the indexes, and as cheap however large the
//! table is.
//!
//! Up to `COUNTED` rows are counted. Of more an estimate is made ([`super::estimate`]), which says that it is one.

use entity::{Timestamp, token};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, QueryResult,
    sea_query::{Expr, Order, Query, SelectStatement},
};

use super::{
    estimate::{AT_ONCE, Count, density, numbered, together},
    hours::{self, HOUR},
    stale::{Reason, SETTLED},
};
use crate::{app::App, token::precision};

/// What would go, and what will be ripe later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// Rows that have been expired for longer than they are kept.
    pub expired: Count,
    /// Rows that have been revoked for longer than they are kept.
    pub revoked: Count,
    /// When the one that ended first did; on `SQLite` within an hour, if more than a thousand ended in its hour.
    pub oldest: Option<Timestamp>,
    /// How many more become purgeable within the next hour.
    pub within_1h: Count,
    /// Within the next day, that hour included.
    pub within_24h: Count,
    /// Within the next week, that day included.
    pub within_7d: Count,
    /// How many tokens expire in each of the coming hours, [`HOURS`] of them, the present one first; revoked ones included.
    pub expiries: Vec<(Timestamp, Count)>,
}

/// How many hours are looked ahead.
pub const HOURS: i64 = 7 * 24;

/// Up to how many rows are counted one by one.
const COUNTED: u64 = 10_000;
/// In how many parts of the time the rest is estimated.
const PARTS: i64 = 64;
/// Among how many of those that are first by the hour the first is looked for.
const FIRST: u64 = 1000;
/// Up to how many are counted of those that expire in an hour, where there is an index of hours.
const COUNTED_OF_HOUR: u64 = 2000;
/// Looks, and changes nothing.
pub async fn preview(app: &App, now: Timestamp) -> Result<Preview, DbErr> {
    let firsts = [first(app, Reason::Expired, now).await?, first(app, Reason::Revoked, now).await?];
    let expired = stale(app, Reason::Expired, firsts[0], now).await?;
    let revoked = stale(app, Reason::Revoked, firsts[1], now).await?;
    let oldest = firsts.into_iter().flatten().min();
    let mut later = [Count::default(); 3];
    for (more, hours) in later.iter_mut().zip([1, 24, HOURS]) {
        *more = ripening(app, now, plus(now, hours * HOUR)).await?;
    }
    let [hour, day, week] = later;
    // As estimates they may say otherwise.
    let day = day.at_least(hour);
    let week = week.at_least(day);
    let expiries = expiries(app, now).await?;
    Ok(Preview { expired, revoked, oldest, within_1h: hour, within_24h: day, within_7d: week, expiries })
}

/// How many rows are stale at `now`.
pub async fn backlog(app: &App, now: Timestamp) -> Result<Count, DbErr> {
    let mut sum = Count::default();
    for reason in Reason::ALL {
        sum = sum.plus(stale(app, reason, first(app, reason, now).await?, now).await?);
    }
    Ok(sum)
}

/// `first` is where the first of them is.
async fn stale(app: &App, reason: Reason, first: Option<Timestamp>, now: Timestamp) -> Result<Count, DbErr> {
    let Some(mut first) = first else { return Ok(Count::default()) };
    if reason.by_hour(app.db.engine()) {
        // Of the same hour others may have ended before.
        first = Timestamp::from_millis(hours::of(first) * HOUR).min(first);
    }
    count(app, reason, reason.stale(app, now), first, reason.cutoff(app, now)).await
}

/// How many rows are stale at `later` and are not at `now`.
async fn ripening(app: &App, now: Timestamp, later: Timestamp) -> Result<Count, DbErr> {
    let mut sum = Count::default();
    for reason in Reason::ALL {
        // What ended before this is stale now, if it ever will be.
        let from = reason.cutoff(app, now).minus(precision(app) + SETTLED);
        let condition = reason.stale(app, later).add(reason.stale(app, now).not()).add(reason.column().gte(from));
        sum = sum.plus(count(app, reason, condition, from, reason.cutoff(app, later)).await?);
    }
    Ok(sum)
}

/// How many rows meet a condition, which holds for none that ended before the hour of `from`, or at `to` or later.
async fn count(
    app: &App,
    reason: Reason,
    condition: Condition,
    from: Timestamp,
    to: Timestamp,
) -> Result<Count, DbErr> {
    let mut some = Query::select();
    some.expr(Expr::val(1)).cond_where(condition).limit(COUNTED + 1);
    in_order(app, &mut some, reason, Some(from), to);
    let all = Query::select().expr(Expr::cust("COUNT(*)")).from_subquery(some, "some").to_owned();
    let row = ask(app, reason, &all).await?;
    let rows: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
    if rows.unsigned_abs() <= COUNTED {
        return Ok(Count::exactly(rows.unsigned_abs()));
    }
    let width = (to.millis_since(from) / PARTS).max(1);
    let edge = |part| if part < PARTS { plus(from, part * width) } else { to };
    let parts: Vec<_> = (0..PARTS).map(|part| [edge(part), edge(part + 1)]).collect();
    let parts = density(app, reason, &parts).await?;
    Ok(Count::about(parts.into_iter().map(|part| part.rows).sum::<u64>().max(COUNTED)))
}

/// Asks a question of the tokens in the order of an index, or a planner may think that reading the whole table is as cheap.
fn in_order(app: &App, question: &mut SelectStatement, reason: Reason, from: Option<Timestamp>, to: Timestamp) {
    use sea_orm::ExprTrait;

    if reason.by_hour(app.db.engine()) {
        let mut ended = hours::ended_before(to);
        ended.and_where_option(from.map(|from| hours::hour().gte(hours::of(from))));
        hours::begin(question, ended).order_by(hours::ENDED_HOUR, Order::Asc);
    } else {
        let column = reason.column();
        question.from(token::Entity).and_where_option(from.map(|from| column.gte(from))).order_by(column, Order::Asc);
    }
}

/// Has it answered with one row.
async fn ask(app: &App, reason: Reason, question: &SelectStatement) -> Result<Option<QueryResult>, DbErr> {
    let reader = app.db.reader();
    if reason.by_hour(app.db.engine()) {
        reader.query_one_raw(hours::ask(question)).await
    } else {
        reader.query_one(question).await
    }
}

/// How many tokens expire in each hour to come.
async fn expiries(app: &App, now: Timestamp) -> Result<Vec<(Timestamp, Count)>, DbErr> {
    let hour = |hours: i64| Timestamp::from_millis((hours::of(now) + hours) * HOUR);
    let mut expiries: Vec<_> = (0..HOURS).map(|at| (hour(at), None)).collect();
    if Reason::Expired.by_hour(app.db.engine()) {
        count_where_few(app, &mut expiries).await?;
    }
    // Half hours are estimated apart: what expires together often does so on the hour.
    let many = expiries.iter().filter(|(_, count)| count.is_none()).map(|(from, _)| *from);
    let halves: Vec<_> =
        many.flat_map(|from| [[from, plus(from, HOUR / 2)], [plus(from, HOUR / 2), plus(from, HOUR)]]).collect();
    let halves = density(app, Reason::Expired, &halves).await?;
    let mut hours = halves.chunks(2).map(|halves| halves.iter().copied().fold(Count::default(), Count::plus));
    Ok(expiries.into_iter().map(|(from, count)| (from, count.or_else(|| hours.next()).unwrap_or_default())).collect())
}

/// Counts the tokens of each hour in which no more than [`COUNTED_OF_HOUR`] expire.
async fn count_where_few(app: &App, expiries: &mut [(Timestamp, Option<Count>)]) -> Result<(), DbErr> {
    use sea_orm::ExprTrait;

    for expiries in expiries.chunks_mut(AT_ONCE) {
        let parts = (0_i64..).zip(&*expiries).map(|(number, (from, _))| {
            let mut some = Query::select();
            some.expr(Expr::val(1)).from(token::Entity).and_where(hours::hour().eq(hours::of(*from)));
            some.limit(COUNTED_OF_HOUR + 1);
            numbered(number).from_subquery(some, "some").to_owned()
        });
        let Some(question) = together(parts) else { continue };
        for row in app.db.reader().query_all(&question).await? {
            let (number, rows): (i64, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            let hour = usize::try_from(number).ok().and_then(|number| expiries.get_mut(number));
            if let Some((_, count)) = hour.filter(|_| rows.unsigned_abs() <= COUNTED_OF_HOUR) {
                *count = Some(Count::exactly(rows.unsigned_abs()));
            }
        }
    }
    Ok(())
}

/// When the one that ended first did. (On `SQLite` the first of thousands that ended in the same hour may be one that ended a little
/// later.)
async fn first(app: &App, reason: Reason, now: Timestamp) -> Result<Option<Timestamp>, DbErr> {
    use sea_orm::ExprTrait;

    let among = if reason.by_hour(app.db.engine()) { FIRST } else { 1 };
    let mut some = Query::select();
    some.expr_as(Expr::col(reason.column()), "at").cond_where(reason.stale(app, now)).limit(among);
    in_order(app, &mut some, reason, None, reason.cutoff(app, now));
    let first = Query::select().expr(Expr::col("at").min()).from_subquery(some, "some").to_owned();
    let first: Option<i64> = ask(app, reason, &first).await?.map_or(Ok(None), |row| row.try_get_by_index(0))?;
    Ok(first.map(Timestamp::from_millis))
}

fn plus(at: Timestamp, millis: i64) -> Timestamp {
    Timestamp::from_millis(at.millis() + millis)
}
