//! What goes besides tokens: deleted users, attempts long ago, changes that everybody has seen, and runs that are kept
//! no longer.

use entity::{Timestamp, attempt, change, maintenance_run, maintenance_run::Outcome, token, user};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr,
    sea_query::{DeleteStatement, Expr, ExprTrait, Query},
};

use super::{history, purge::Deadline, stale::SETTLED};
use crate::{app::App, db::dialect, id, token::changes};

/// One sort of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leftover {
    /// Runs that a clock wrote which was ahead. They come first: a run that was forced is then the newest.
    FutureRun,
    /// Runs from longer ago than `maintenance.keep_runs`.
    OldRun,
    /// Counters of attempts whose window is over.
    Attempt,
    /// Changes that nobody looks for any longer.
    Change,
    /// Deleted users of whom no token is left.
    User,
}

/// Deletes them in batches like those of tokens. Of each sort at least one batch goes, also when the time is up: else
/// tokens that never end would keep it for ever.
pub(super) async fn sweep(app: &App, deadline: &Deadline<'_>) -> Result<Outcome, DbErr> {
    let mut outcome = Outcome::Done;
    for leftover in [Leftover::FutureRun, Leftover::OldRun, Leftover::Attempt, Leftover::Change, Leftover::User] {
        loop {
            if deadline.is_stopped() {
                return Ok(Outcome::Cancelled);
            }
            let delete = leftover.delete(app, app.clock.now());
            let deleted = app.db.writer().execute(&delete).await?.rows_affected();
            if deleted < app.config.maintenance.batch_size {
                break;
            }
            if let Some(reached) = deadline.reached() {
                outcome = reached;
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    Ok(outcome)
}

impl Leftover {
    /// Deletes one batch.
    fn delete(self, app: &App, now: Timestamp) -> DeleteStatement {
        let (engine, settings) = (app.db.engine(), &app.config.maintenance);
        let size = settings.batch_size;
        let run = maintenance_run::Column::Id;
        match self {
            Self::FutureRun => dialect::delete_some(engine, run, history::from_the_future(now), run, size),
            Self::OldRun => {
                // The key of a run carries the instant it began at.
                let old = run.lt(id::first_of(now.minus(settings.keep_runs)));
                dialect::delete_some(engine, run, old.into(), run, size)
            }
            Self::Attempt => {
                let end = attempt::Column::ExpiresAt;
                dialect::delete_some(engine, attempt::Column::Subject, end.lte(now).into(), end, size)
            }
            Self::Change => {
                dialect::delete_some(engine, change::Column::Id, changes::old(now), change::Column::Second, size)
            }
            Self::User => {
                let gone = user::Column::DeletedAt.lt(now.minus(Ord::max(settings.retain_revoked, SETTLED)));
                let gone = Condition::all().add(gone).add(has_tokens().not());
                dialect::delete_some(engine, user::Column::Id, gone, user::Column::Id, size)
            }
        }
    }
}

/// Whether the user at hand still has a token's row.
fn has_tokens() -> Expr {
    let theirs = Expr::col((token::Entity, token::Column::UserId)).equals((user::Entity, user::Column::Id));
    Expr::exists(Query::select().expr(Expr::val(1)).from(token::Entity).and_where(theirs).to_owned())
}
