//! The purge: deletes tokens that are stale, and what hangs on them.
//!
//! What is stale stands in [`super::stale`], and in every DELETE.

use entity::{maintenance_run::Outcome, token};
use sea_orm::ColumnTrait;

use super::{
    leftovers,
    owners::{self, Entries},
    preview, ranges,
    stale::Reason,
    task::{Batch, Halt, Task},
};
use crate::{
    app::App,
    db::{Engine, dialect},
};

/// Deletes until nothing stale is left, and then what hung on it: that too when the time is up, or a drain that never ends
/// would leave it for ever.
pub(super) async fn purge(task: &mut Task<'_>) -> Result<(), Halt> {
    let mut gone = Entries::default();
    let tokens = drain(task, &mut gone).await;
    match tokens {
        Ok(()) => task.run.backlog = Some(0),
        Err(Halt::Ended(Outcome::Budget)) => {
            // Not worth failing for: what is left is told, and goes, with the next run.
            let left = preview::backlog(task.app, task.now()).await.ok();
            task.run.backlog = left.map(|left| i64::try_from(left.rows).unwrap_or(i64::MAX));
        }
        Err(_) => return tokens,
    }
    let users = leftovers::users(task).await;
    // Also where users failed: neither waits for the other.
    let clients = leftovers::clients(task).await;
    let whose = users.and(clients);
    let owned = if task.app.db.engine() == Engine::Sqlite { owners::tidy(task, gone).await } else { Ok(()) };
    // Why the last of them ended says more than that time was up.
    owned.and(whose).and(tokens)
}

async fn drain(task: &mut Task<'_>, gone: &mut Entries) -> Result<(), Halt> {
    if task.app.db.engine() == Engine::Sqlite {
        ranges::drain(task, gone).await?;
    } else {
        drain_in_order(task, Reason::Expired).await?;
    }
    drain_in_order(task, Reason::Revoked).await
}

/// Deletes those that are first by the index, batch by batch.
async fn drain_in_order(task: &mut Task<'_>, reason: Reason) -> Result<(), Halt> {
    let column = reason.column();
    let statement = |app: &App, batch: Batch| {
        let stale = reason.stale(app, batch.now).add_option(batch.from.map(|from| column.gte(from)));
        dialect::delete_some(app.db.engine(), &[token::Column::Id], stale, column, batch.size)
    };
    task.drain_in_order(reason.counter(), Some(column), statement).await
}
