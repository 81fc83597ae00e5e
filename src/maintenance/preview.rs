//! What a purge would do, without doing it, and when tokens will expire: asked of the indexes, and as cheap however large the
//! table is.
//!
//! Up to `COUNTED` rows are counted. Of more, `density()` reads a few in each part of the time they lie in, and takes the rest
//! to lie as close together: an estimate, which says that it is one.

use entity::{Timestamp, token};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Alias, Expr, Order, Query, SelectStatement, UnionType},
};

use super::stale::{Reason, SETTLED};
use crate::{app::App, token::precision};

/// How many tokens, or about how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// The number.
    pub rows: u64,
    /// Whether it is an estimate.
    pub estimated: bool,
}

impl Count {
    fn plus(self, other: Self) -> Self {
        Self { rows: self.rows + other.rows, estimated: self.estimated || other.estimated }
    }
}

/// What would go, and what will be ripe later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// Rows that have been expired for longer than they are kept.
    pub expired: Count,
    /// Rows that have been revoked for longer than they are kept.
    pub revoked: Count,
    /// When the one that ended first did.
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
/// How many rows are read in each part, of which all are known if there are fewer.
const READ: u64 = 250;
/// How many parts are asked for at once: engines limit how long a statement may be.
const AT_ONCE: usize = 200;

const HOUR: i64 = 60 * 60 * 1000;

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
    let Some(first) = first else { return Ok(Count::default()) };
    count(app, reason.column(), reason.stale(app, now), first, reason.cutoff(app, now)).await
}

/// How many rows are stale at `later` and are not at `now`.
async fn ripening(app: &App, now: Timestamp, later: Timestamp) -> Result<Count, DbErr> {
    let mut sum = Count::default();
    for reason in Reason::ALL {
        let column = reason.column();
        // What ended before this is stale now, if it ever will be.
        let from = reason.cutoff(app, now).minus(precision(app) + SETTLED);
        let condition = reason.stale(app, later).add(reason.stale(app, now).not()).add(column.gte(from));
        sum = sum.plus(count(app, column, condition, from, reason.cutoff(app, later)).await?);
    }
    Ok(sum)
}

/// How many rows meet a condition, which has their column between `from` and `to`.
async fn count(
    app: &App,
    column: token::Column,
    condition: Condition,
    from: Timestamp,
    to: Timestamp,
) -> Result<Count, DbErr> {
    let mut some = Query::select();
    some.expr(Expr::val(1)).from(token::Entity).cond_where(condition);
    // In the order of an index, or a planner may think that reading the whole table is as cheap.
    some.order_by(column, Order::Asc).limit(COUNTED + 1);
    let all = Query::select().expr(Expr::cust("COUNT(*)")).from_subquery(some, "some").to_owned();
    let row = app.db.reader().query_one(&all).await?;
    let rows: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
    if rows.unsigned_abs() <= COUNTED {
        return Ok(Count { rows: rows.unsigned_abs(), estimated: false });
    }
    let width = (to.millis_since(from) / PARTS).max(1);
    let edges: Vec<_> = (0..PARTS).map(|part| plus(from, part * width)).chain([to]).collect();
    let parts = density(app, column, &edges).await?;
    let estimate = parts.into_iter().fold(Count::default(), Count::plus);
    Ok(Count { rows: estimate.rows.max(COUNTED), estimated: true })
}

/// How many tokens expire in each hour to come.
async fn expiries(app: &App, now: Timestamp) -> Result<Vec<(Timestamp, Count)>, DbErr> {
    let hour = |hours: i64| Timestamp::from_millis(now.millis() - now.millis().rem_euclid(HOUR) + hours * HOUR);
    // Half hours are estimated apart: what expires together often does so on the hour.
    let edges: Vec<_> = (0..HOURS).flat_map(|at| [hour(at), plus(hour(at), HOUR / 2)]).chain([hour(HOURS)]).collect();
    let halves = density(app, token::Column::ExpiresAt, &edges).await?;
    let hours = halves.chunks(2).map(|halves| halves.iter().copied().fold(Count::default(), Count::plus));
    Ok((0..HOURS).map(hour).zip(hours).collect())
}

/// How many rows there are between each two neighbouring edges: counted where they are few, else from how close together the first
/// [`READ`] of them lie.
async fn density(app: &App, column: token::Column, edges: &[Timestamp]) -> Result<Vec<Count>, DbErr> {
    let mut counts = vec![Count::default(); edges.len().saturating_sub(1)];
    let parts: Vec<_> = edges.windows(2).enumerate().collect();
    for parts in parts.chunks(AT_ONCE) {
        let Some(question) = question(column, parts) else { continue };
        for row in app.db.reader().query_all(&question).await? {
            let (part, read, last): (i64, i64, Option<i64>) =
                (row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?);
            let part = usize::try_from(part).unwrap_or(usize::MAX);
            let (Some(count), Some(edges)) = (counts.get_mut(part), edges.get(part..part + 2)) else { continue };
            *count = extrapolate(read.unsigned_abs(), last, edges);
        }
    }
    Ok(counts)
}

/// Asks each part for its number, how many rows were read, and where the last of them lies.
fn question(column: token::Column, parts: &[(usize, &[Timestamp])]) -> Option<SelectStatement> {
    use sea_orm::ExprTrait;

    let mut parts = parts.iter().map(|(number, edges)| {
        let mut first = Query::select();
        first.expr_as(Expr::col(column), Alias::new("at")).from(token::Entity);
        first.and_where(column.gte(edges[0])).and_where(column.lt(edges[1])).order_by(column, Order::Asc).limit(READ);
        Query::select()
            .expr(Expr::val(i64::try_from(*number).unwrap_or(i64::MAX)))
            .expr(Expr::cust("COUNT(*)"))
            .expr(Expr::col("at").max())
            .from_subquery(first, "first")
            .to_owned()
    });
    let mut question = parts.next()?;
    for part in parts {
        question.union(UnionType::All, part);
    }
    Some(question)
}

fn extrapolate(read: u64, last: Option<i64>, edges: &[Timestamp]) -> Count {
    let (Some(last), [from, to]) = (last.filter(|_| read >= READ), edges) else {
        return Count { rows: read, estimated: false };
    };
    let (seen, whole) =
        ((last - from.millis() + 1).max(1).unsigned_abs(), to.millis_since(*from).max(1).unsigned_abs());
    Count { rows: (read * whole).div_ceil(seen), estimated: true }
}

async fn first(app: &App, reason: Reason, now: Timestamp) -> Result<Option<Timestamp>, DbErr> {
    let first = token::Entity::find()
        .select_only()
        .column(reason.column())
        .filter(reason.stale(app, now))
        .order_by_asc(reason.column())
        .into_tuple::<Option<Timestamp>>()
        .one(app.db.reader())
        .await?;
    Ok(first.flatten())
}

fn plus(at: Timestamp, millis: i64) -> Timestamp {
    Timestamp::from_millis(at.millis() + millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_read_lies_as_close_together_as_what_was() {
        let edges = [Timestamp::from_millis(1_000_000), Timestamp::from_millis(2_000_000)];
        let of = |read, last| extrapolate(read, last, &edges);
        assert_eq!(of(0, None), Count { rows: 0, estimated: false });
        assert_eq!(of(READ - 1, Some(1_999_999)), Count { rows: READ - 1, estimated: false });
        assert_eq!(of(READ, Some(1_099_999)), Count { rows: READ * 10, estimated: true });
        assert_eq!(of(READ, Some(1_000_000)).rows, READ * 1_000_000, "all at one instant: as many as can be");
    }
}
