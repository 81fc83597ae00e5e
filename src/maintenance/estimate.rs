//! About how many tokens ended or will end when, from few of them that are read, however many there are: where they lie in the order of
//! an index tells how close together the rest of them lie. On `SQLite`, where the index of ends does not have them in that order, a
//! sample is read that has ([`super::hours`]).

use entity::{Timestamp, token};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr,
    sea_query::{Alias, Expr, Order, Query, SelectStatement, UnionType},
};

use super::{hours, stale::Reason};
use crate::app::App;

/// How many tokens, or about how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// The number.
    pub rows: u64,
    /// Whether it is an estimate.
    pub estimated: bool,
}

impl Count {
    pub(super) fn plus(self, other: Self) -> Self {
        Self { rows: self.rows + other.rows, estimated: self.estimated || other.estimated }
    }

    pub(super) fn at_least(self, other: Self) -> Self {
        if self.rows < other.rows { other } else { self }
    }

    pub(super) fn exactly(rows: u64) -> Self {
        Self { rows, estimated: false }
    }

    pub(super) fn about(rows: u64) -> Self {
        Self { rows, estimated: true }
    }
}

/// How many rows are read in each part, of which all are known if there are fewer.
const READ: u64 = 250;
/// How many parts are asked for at once: engines limit how long a statement may be.
pub(super) const AT_ONCE: usize = 200;

/// How many rows there are in each part of the time, from an instant up to another: counted where they are few, else from how close
/// together the first [`READ`] of them lie.
pub(super) async fn density(app: &App, reason: Reason, parts: &[[Timestamp; 2]]) -> Result<Vec<Count>, DbErr> {
    let mut counts = vec![Count::default(); parts.len()];
    let sampled = reason.by_hour(app.db.engine());
    let numbered: Vec<_> = (0_i64..).zip(parts).collect();
    for some in numbered.chunks(AT_ONCE) {
        let Some(question) = together(some.iter().map(|(number, part)| self::part(reason, sampled, *number, part)))
        else {
            continue;
        };
        for row in app.db.reader().query_all(&question).await? {
            let (part, read, last): (i64, i64, Option<i64>) =
                (row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?);
            let part = usize::try_from(part).unwrap_or(usize::MAX);
            let (Some(count), Some(part)) = (counts.get_mut(part), parts.get(part)) else { continue };
            *count = extrapolate(read.unsigned_abs(), last, part);
            if sampled {
                *count = Count::about(count.rows * hours::ONE_IN);
            }
        }
    }
    Ok(counts)
}

/// Asks a part for its number, how many rows were read, and where the last of them lies.
pub fn part(reason: Reason, sampled: bool, number: i64, [from, to]: &[Timestamp; 2]) -> SelectStatement {
    use sea_orm::ExprTrait;

    let column = reason.column();
    let mut first = Query::select();
    first.expr_as(Expr::col(column), Alias::new("at")).from(token::Entity);
    first.and_where(column.gte(*from)).and_where(column.lt(*to));
    first.and_where_option(sampled.then(hours::in_sample)).order_by(column, Order::Asc).limit(READ);
    let mut question = numbered(number);
    question.expr(Expr::col("at").max()).from_subquery(first, "first").to_owned()
}

/// Several questions as one.
pub(super) fn together(mut questions: impl Iterator<Item = SelectStatement>) -> Option<SelectStatement> {
    let mut all = questions.next()?;
    for question in questions {
        all.union(UnionType::All, question);
    }
    Some(all)
}

fn extrapolate(read: u64, last: Option<i64>, [from, to]: &[Timestamp; 2]) -> Count {
    let Some(last) = last.filter(|_| read >= READ) else { return Count::exactly(read) };
    let (seen, whole) =
        ((last - from.millis() + 1).max(1).unsigned_abs(), to.millis_since(*from).max(1).unsigned_abs());
    Count::about((read * whole).div_ceil(seen))
}

/// A question of a part: its number, and how many rows there are.
pub(super) fn numbered(part: i64) -> SelectStatement {
    Query::select().expr(Expr::val(part)).expr(Expr::cust("COUNT(*)")).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_time_has_no_fewer() {
        assert_eq!(Count::about(7).at_least(Count::exactly(8)), Count::exactly(8));
        assert_eq!(Count::about(8).at_least(Count::exactly(8)), Count::about(8));
    }

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
