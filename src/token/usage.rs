//! When tokens were last used, and where that moves the end of a sliding one: kept in memory, and written behind.
//!
//! A use is noted when what is recorded lags behind it by almost the *allowance* that every reader of the row grants (see
//! [`entity::expiry`]), and written within [`FLUSH`] after that, many rows in one statement. So the record lags by no
//! more than the allowance, and a token in constant use costs one write in that time. The first use always is noted.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use entity::{Timestamp, expiry, token};
use sea_orm::{
    ColumnTrait, Condition, DatabaseTransaction, DbErr, EntityTrait, ExprTrait, QueryFilter,
    sea_query::{CaseStatement, Expr, SimpleExpr},
};
use uuid::Uuid;

use super::{Held, precision};
use crate::{app::App, pause::pause};

/// How often what was noted is written.
pub const FLUSH: Duration = Duration::from_millis(500);
/// How much earlier than the allowance ends a use is noted, for the time that writing takes.
const AHEAD: i64 = 1000;
/// How many rows one transaction writes: others wait for it.
const TOGETHER: usize = 512;
/// How many rows one statement writes. An engine looks a use up by comparing one id after the other, so that a row of a
/// long statement takes longer than one of a short one.
const AT_ONCE: usize = 64;

/// Uses that are not written yet, by token.
#[derive(Debug, Default)]
pub struct Uses(Mutex<HashMap<Uuid, Use>>);

/// The last use of a token that is known.
#[derive(Clone, Copy, Debug)]
struct Use {
    at: Timestamp,
    /// Whether it moves the end of the token.
    slides: bool,
}

impl Uses {
    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Use>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, uses: impl IntoIterator<Item = (Uuid, Use)>) {
        let mut noted = self.lock();
        for (id, last) in uses {
            noted.entry(id).and_modify(|noted| noted.at = Ord::max(last.at, noted.at)).or_insert(last);
        }
    }
}

/// Notes a use at `now`, if what is recorded is too old by then.
pub fn note(app: &App, held: &Held, now: Timestamp) {
    let last = held.last_used_at();
    if last.is_none_or(|last| now.millis_since(last) >= lag(app, held)) && held.used(last, now) {
        app.checker.uses.add([(held.id(), Use { at: now, slides: held.idle_timeout().is_some() })]);
    }
}

fn lag(app: &App, held: &Held) -> i64 {
    let precision = precision(app);
    let allowance = match held.idle_timeout() {
        Some(idle) => expiry::allowance(idle, precision),
        None => i64::try_from(precision.as_millis()).unwrap_or(i64::MAX),
    };
    allowance - Ord::min(AHEAD, allowance / 2)
}

/// Writes what was noted; what cannot be written now is kept for the next time.
pub async fn flush(app: &App) -> Result<(), DbErr> {
    let noted = std::mem::take(&mut *app.checker.uses.lock());
    let mut noted: Vec<_> = noted.into_iter().collect();
    // Replicas that write the same rows then do so in the same order, and none waits for another in a circle.
    noted.sort_unstable_by_key(|(id, _)| *id);
    pause!(app.db, Uses);
    for (index, uses) in noted.chunks(TOGETHER).enumerate() {
        if let Err(error) = app.db.insist(|| app.db.in_time(write(app, uses))).await {
            app.checker.uses.add(noted.iter().skip(index * TOGETHER).copied());
            return Err(error);
        }
    }
    Ok(())
}

/// Writes uses, and the ends that they move. Neither is a change that others must hear of: they allow for it.
async fn write(app: &App, uses: &[(Uuid, Use)]) -> Result<(), DbErr> {
    let txn = app.db.begin().await?;
    for uses in in_few_lengths(uses) {
        write_uses(&txn, uses).await?;
    }
    let sliding: Vec<_> = uses.iter().filter(|(_, last)| last.slides).map(|(id, _)| *id).collect();
    for ids in in_few_lengths(&sliding) {
        write_ends(&txn, ids).await?;
    }
    pause!(app.db, UsesWritten);
    txn.commit().await
}

/// Pieces for a statement each, as long as powers of two: a connection prepares and keeps one for each length that it
/// sees, and so sees few. (What reads fills up instead, see `row`: here a row too many costs a write.)
fn in_few_lengths<T>(mut items: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let length = AT_ONCE.min(1 << items.len().checked_ilog2()?);
        let piece;
        (piece, items) = items.split_at(length);
        Some(piece)
    })
}

async fn write_uses(txn: &DatabaseTransaction, uses: &[(Uuid, Use)]) -> Result<(), DbErr> {
    let used_at = uses
        .iter()
        .fold(CaseStatement::new(), |case, (id, last)| case.case(token::Column::Id.eq(*id), last.at.millis()));
    let used_at: SimpleExpr = used_at.into();
    let earlier = Condition::any()
        .add(token::Column::LastUsedAt.is_null())
        .add(Expr::col(token::Column::LastUsedAt).lt(used_at.clone()));
    token::Entity::update_many()
        .col_expr(token::Column::LastUsedAt, used_at)
        .filter(token::Column::Id.is_in(uses.iter().map(|(id, _)| *id)))
        .filter(token::Column::RevokedAt.is_null())
        .filter(earlier)
        .exec(txn)
        .await?;
    Ok(())
}

async fn write_ends(txn: &DatabaseTransaction, ids: &[Uuid]) -> Result<(), DbErr> {
    let idle_end = || Expr::col(token::Column::LastUsedAt).add(Expr::col(token::Column::IdleTimeout).mul(1000_i64));
    let ttl_end = || Expr::col(token::Column::TtlExpiresAt);
    let end: SimpleExpr = CaseStatement::new().case(idle_end().lt(ttl_end()), idle_end()).finally(ttl_end()).into();
    token::Entity::update_many()
        .col_expr(token::Column::ExpiresAt, end.clone())
        .filter(token::Column::Id.is_in(ids.iter().copied()))
        .filter(token::Column::RevokedAt.is_null())
        .filter(Expr::col(token::Column::ExpiresAt).lt(end))
        .exec(txn)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_have_few_lengths_and_leave_nothing_out() {
        let lengths = |count: usize| {
            let items: Vec<_> = (0..count).collect();
            let pieces: Vec<_> = in_few_lengths(&items).collect();
            assert_eq!(pieces.concat(), items);
            pieces.into_iter().map(<[_]>::len).collect::<Vec<_>>()
        };
        assert!(lengths(0).is_empty());
        assert_eq!(lengths(3), [2, 1]);
        assert_eq!(lengths(149), [64, 64, 16, 4, 1]);
    }
}
