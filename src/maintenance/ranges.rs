//! `SQLite` only: deleting tokens in the order in which they lie, where enough of what lies together is stale.
//!
//! Tokens lie in the order of their ids, which is that of their making. Those that ended one after the other were made at different
//! times, so a batch of the index's order rewrites many pages, and the next batches rewrite most of them again. Where much is
//! stale, going through the table itself writes a page once: that takes half of the time. Where little is, most of what it looks at
//! would stay, and the index is the way.

use entity::{Timestamp, maintenance_run::Model as Run, token};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
    sea_query::{Expr, Query},
};
use uuid::Uuid;

use super::{
    owners::Entries,
    purge,
    stale::Reason,
    task::{FIRST, Halt, Task, Work, next_size},
};
use crate::{app::App, pause::pause};

/// One token in so many must be stale for this to cost no more than the index's way.
const WORTH_IT: u64 = 4;

/// Begins at the token that ended first, and again at the one that is first by then. Where that leads nowhere, the index has a
/// batch.
pub(super) async fn drain(task: &mut Task<'_>, gone: &mut Entries) -> Result<(), Halt> {
    let mut looked_to = None;
    while let Some((first, end)) = first_to_end(task, looked_to).await? {
        looked_to = Some(end);
        if !go_on_from(first, task, gone).await? {
            task.may_go_on()?;
            task.batch(Reason::Expired.counter(), None, &purge::in_order(Reason::Expired)).await?;
        }
    }
    Ok(())
}

/// Goes on from a token for as long as it is worth it, and tells whether it ever was.
async fn go_on_from(first: Uuid, task: &mut Task<'_>, gone: &mut Entries) -> Result<bool, Halt> {
    let most = task.app.config.maintenance.batch_size;
    let (mut at, mut size, mut was_worth_it) = (Some(first), most.min(FIRST), false);
    while let Some(from) = at {
        task.may_go_on()?;
        let to = nth_after(task.app, from, size).await?;
        let deletion = Deletion(stale_within(task.app, task.now(), from, to));
        pause!(task.app.db, Batch);
        let (deleted, took) = task.transact(deletion).await?;
        gone.add(deleted.rows, &deleted.entries)?;
        gone.delete_if_many(task).await?;
        task.make_way(took).await;
        if deleted.rows * WORTH_IT < size {
            break;
        }
        was_worth_it = true;
        size = next_size(size, took, true, most);
        at = to;
    }
    Ok(was_worth_it)
}

/// Which tokens are stale at `now`, from one up to another, or to the last of all.
pub fn stale_within(app: &App, now: Timestamp, from: Uuid, to: Option<Uuid>) -> Condition {
    let id = token::Column::Id;
    Condition::all().add(id.gte(from)).add_option(to.map(|to| id.lt(to))).add(Reason::any(app, now))
}

/// What a batch deleted.
struct Deleted {
    rows: u64,
    /// Whose they were, see [`Entries::add`].
    entries: String,
}

/// The deletion of all tokens that meet a condition.
struct Deletion(Condition);

impl Work for Deletion {
    type Found = Deleted;

    /// What is to go is read before it is deleted: a DELETE that returns rows looks for each of them a second time.
    async fn carry_out(&self, txn: &DatabaseTransaction, run: &mut Run) -> Result<Deleted, DbErr> {
        let sqlite = txn.get_database_backend();
        let mut select = Query::select();
        select.expr(Expr::cust(WHAT_GOES)).from(token::Entity).cond_where(self.0.clone());
        let Some(found) = txn.query_one_raw(sqlite.build(&select)).await? else {
            return Err(DbErr::RecordNotFound("a count is always there".to_owned()));
        };
        let (expired, revoked): (i64, i64) = (found.try_get_by_index(0)?, found.try_get_by_index(1)?);
        let delete = Query::delete().from_table(token::Entity).cond_where(self.0.clone()).to_owned();
        let rows = txn.execute_raw(sqlite.build(&delete)).await?.rows_affected();
        run.deleted_expired += expired;
        run.deleted_revoked += revoked;
        Ok(Deleted { rows, entries: found.try_get_by_index(2)? })
    }
}

/// How many of them expired and how many were revoked; and the ids of each one's user, if it has one, and of itself.
const WHAT_GOES: &str = "COUNT(*) - COUNT(revoked_at), COUNT(revoked_at), \
                         COALESCE(GROUP_CONCAT(CASE WHEN user_id IS NOT NULL THEN HEX(user_id) || HEX(id) END, ''), '')";

/// The stale token that ended first, but for those that were revoked, and when. What ended before it and is kept for now is not
/// stepped over again.
async fn first_to_end(task: &mut Task<'_>, from: Option<Timestamp>) -> Result<Option<(Uuid, Timestamp)>, DbErr> {
    let (id, end) = (token::Column::Id, token::Column::ExpiresAt);
    let stale = Reason::Expired.stale(task.app, task.now()).add_option(from.map(|from| end.gte(from)));
    let first = token::Entity::find().filter(stale).order_by_asc(end).select_only().columns([id, end]);
    first.into_tuple().one(task.app.db.reader()).await
}

/// The token that many places further.
async fn nth_after(app: &App, token: Uuid, places: u64) -> Result<Option<Uuid>, DbErr> {
    let after = token::Entity::find().filter(token::Column::Id.gte(token)).order_by_asc(token::Column::Id);
    after.select_only().column(token::Column::Id).offset(places).into_tuple().one(app.db.reader()).await
}
