//! `SQLite` only: deleting tokens in the order in which they lie, where enough of what lies together is stale.
//!
//! Tokens lie in the order of their ids, which is that of their making. Those that ended one after the other were made at different
//! times, so a batch of the index's order rewrites many pages, and the next batches rewrite most of them again. Where much is
//! stale, going through the table itself writes a page once: that takes half of the time. Where little is, most of what it looks at
//! would stay, and the index of ends is the way.

use std::time::Duration;

use entity::{Timestamp, maintenance_run::Model as Run, token};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, Value,
    sea_query::{Expr, Query},
};
use uuid::Uuid;

use super::{
    hours::{self, Place},
    owners::{self, Entries},
    stale::Reason,
    task::{FIRST, Halt, Task, Work, next_size},
};
use crate::{app::App, pause::pause};

/// One token in so many must be stale for this to cost no more than the index's way.
const WORTH_IT: u64 = 4;

/// Begins at the token that is first in the index of ends, and again at the one that is first by then. Where that leads nowhere,
/// the index has a batch.
pub(super) async fn drain(task: &mut Task<'_>, gone: &mut Entries) -> Result<(), Halt> {
    let most = task.app.config.maintenance.batch_size;
    let (mut after, mut size) = (None, most.min(FIRST));
    loop {
        task.may_go_on()?;
        let found = hours::next_stale(task.app, task.now(), after, size).await?;
        let (Some(first), Some(last)) = (found.first().copied(), found.last().copied()) else { return Ok(()) };
        if go_on_from(first.1, task, gone).await? {
            after = Some(first);
            continue;
        }
        task.may_go_on()?;
        let these = stale_among(task.app, task.now(), &found);
        let (_, took) = delete(these, task, gone).await?;
        size = next_size(size, took, true, most);
        after = Some(last);
    }
}

/// Goes on from a token for as long as it is worth it, and tells whether it ever was.
async fn go_on_from(first: Uuid, task: &mut Task<'_>, gone: &mut Entries) -> Result<bool, Halt> {
    let most = task.app.config.maintenance.batch_size;
    let (mut at, mut size, mut was_worth_it) = (Some(first), most.min(FIRST), false);
    while let Some(from) = at {
        task.may_go_on()?;
        let to = nth_after(task.app, from, size).await?;
        let (rows, took) = delete(stale_within(task.app, task.now(), from, to), task, gone).await?;
        if rows * WORTH_IT < size {
            break;
        }
        was_worth_it = true;
        size = next_size(size, took, true, most);
        at = to;
    }
    Ok(was_worth_it)
}

/// Deletes all tokens that meet a condition, and what was noted once that is much; tells how many there were and how long they
/// took.
async fn delete(condition: Condition, task: &mut Task<'_>, gone: &mut Entries) -> Result<(u64, Duration), Halt> {
    pause!(task.app.db, Batch);
    let (deleted, took) = task.transact(Deletion(condition)).await?;
    gone.add(deleted.rows, &deleted.entries)?;
    gone.delete_if_many(task).await?;
    task.make_way(took).await;
    Ok((deleted.rows, took))
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

/// Which of these tokens are stale at `now`. Their ids are put together in one value.
pub fn stale_among(app: &App, now: Timestamp, places: &[Place]) -> Condition {
    let ids: Vec<u8> = places.iter().flat_map(|(_, id)| *id.as_bytes()).collect();
    let text = format!(r#""token"."id" IN ({} SELECT substr(?, at, 16) FROM place)"#, owners::every(16, "?"));
    let length = i64::try_from(ids.len()).unwrap_or(i64::MAX);
    let among = Expr::cust_with_values(text, [Value::from(length), Value::from(ids)]);
    Condition::all().add(among).add(Reason::any(app, now))
}

/// The token that many places further.
async fn nth_after(app: &App, token: Uuid, places: u64) -> Result<Option<Uuid>, DbErr> {
    let after = token::Entity::find().filter(token::Column::Id.gte(token)).order_by_asc(token::Column::Id);
    after.select_only().column(token::Column::Id).offset(places).into_tuple().one(app.db.reader()).await
}
