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
    ColumnTrait, Condition, DbErr, EntityTrait, ExprTrait, QueryFilter,
    sea_query::{CaseStatement, Expr, SimpleExpr},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Held, precision};
use crate::{app::App, error::Storage};

/// How often what was noted is written.
pub const FLUSH: Duration = Duration::from_millis(500);
/// How much earlier than the allowance ends a use is noted, for the time that writing takes.
const AHEAD: i64 = 1000;
/// How many rows one statement writes.
const AT_ONCE: usize = 500;

/// Uses that are not written yet, by token.
#[derive(Debug, Default)]
pub struct Uses(Mutex<HashMap<Uuid, Timestamp>>);

impl Uses {
    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, uses: impl IntoIterator<Item = (Uuid, Timestamp)>) {
        let mut noted = self.lock();
        for (id, used_at) in uses {
            noted.entry(id).and_modify(|noted| *noted = Ord::max(used_at, *noted)).or_insert(used_at);
        }
    }
}

/// Notes a use at `now`, if what is recorded is too old by then.
pub fn note(app: &App, held: &Held, now: Timestamp) {
    let last = held.last_used_at();
    if last.is_none_or(|last| now.millis_since(last) >= lag(app, held)) && held.used(last, now) {
        app.checker.uses.add([(held.id(), now)]);
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
    let noted: Vec<_> = noted.into_iter().collect();
    for (index, uses) in noted.chunks(AT_ONCE).enumerate() {
        if let Err(error) = write(app, uses).await {
            app.checker.uses.add(noted.iter().skip(index * AT_ONCE).copied());
            return Err(error);
        }
    }
    Ok(())
}

/// One statement for the uses, and one for the ends that they move. Neither is a change that others must hear of: they
/// allow for it.
async fn write(app: &App, uses: &[(Uuid, Timestamp)]) -> Result<(), DbErr> {
    let of = || Condition::all().add(token::Column::Id.is_in(uses.iter().map(|(id, _)| *id)));
    let used_at = uses
        .iter()
        .fold(CaseStatement::new(), |case, (id, used_at)| case.case(token::Column::Id.eq(*id), used_at.millis()));
    let used_at: SimpleExpr = used_at.into();
    let earlier = Condition::any()
        .add(token::Column::LastUsedAt.is_null())
        .add(Expr::col(token::Column::LastUsedAt).lt(used_at.clone()));
    let txn = app.db.begin().await?;
    token::Entity::update_many()
        .col_expr(token::Column::LastUsedAt, used_at)
        .filter(of().add(token::Column::RevokedAt.is_null()).add(earlier))
        .exec(&txn)
        .await?;
    let idle_end = || Expr::col(token::Column::LastUsedAt).add(Expr::col(token::Column::IdleTimeout).mul(1000_i64));
    let ttl_end = || Expr::col(token::Column::TtlExpiresAt);
    let end: SimpleExpr = CaseStatement::new().case(idle_end().lt(ttl_end()), idle_end()).finally(ttl_end()).into();
    token::Entity::update_many()
        .col_expr(token::Column::ExpiresAt, end.clone())
        .filter(of().add(token::Column::RevokedAt.is_null()).add(token::Column::IdleTimeout.is_not_null()))
        .filter(Expr::col(token::Column::ExpiresAt).lt(end))
        .exec(&txn)
        .await?;
    txn.commit().await
}

/// Writes again and again until it is told to stop, and once more then; never is it stopped in the middle.
pub async fn keep_flushing(app: &App, stop: &CancellationToken) {
    let mut ticks = tokio::time::interval(FLUSH);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let stopped = stop.run_until_cancelled(ticks.tick()).await.is_none();
        if let Err(error) = flush(app).await {
            tracing::warn!(error = %Storage::from(error), "uses of tokens are not recorded yet");
        }
        if stopped {
            return;
        }
    }
}
