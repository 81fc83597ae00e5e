//! What goes besides tokens.

use entity::{attempt, audit_event, change, client, known_address, maintenance_run, refresh_token, token, user};
use sea_orm::{
    ColumnTrait, Condition, Value,
    sea_query::{Expr, ExprTrait, Query},
};

use super::{
    history,
    stale::SETTLED,
    task::{Halt, Task, other},
};
use crate::{
    account::known,
    audit,
    db::dialect::{self, delete_some, update_some},
    token::changes as noted,
};

/// Changes that nobody looks for any longer.
pub(super) async fn changes(task: &mut Task<'_>) -> Result<(), Halt> {
    task.drain(other, |app, batch| {
        let old = noted::old(batch.now);
        delete_some(
            app.db.engine(),
            &[change::Column::Second, change::Column::Id],
            old,
            change::Column::Second,
            batch.size,
        )
    })
    .await
}

/// Counters of attempts whose window is over, and addresses that are no longer known.
pub(super) async fn counters(task: &mut Task<'_>) -> Result<(), Halt> {
    task.drain(other, |app, batch| {
        let (subject, end) = (attempt::Column::Subject, attempt::Column::ExpiresAt);
        delete_some(app.db.engine(), &[subject], end.lte(batch.now).into(), end, batch.size)
    })
    .await?;
    task.drain(other, |app, batch| {
        let key = [known_address::Column::UserId, known_address::Column::Address];
        let end = known_address::Column::ExpiresAt;
        delete_some(app.db.engine(), &key, known::old(batch.now), end, batch.size)
    })
    .await
}

/// Secrets that were replaced: by a rotation whose overlap is over, of tokens and of clients; and refresh tokens, once their
/// family has ended, until when a spent one must be recognised.
pub(super) async fn replaced(task: &mut Task<'_>) -> Result<(), Halt> {
    rotations(task).await?;
    task.drain(other, |app, batch| {
        let (key, end) = (refresh_token::Column::TokenId, refresh_token::Column::ExpiresAt);
        delete_some(app.db.engine(), &[key], end.lt(batch.now.minus(SETTLED)).into(), end, batch.size)
    })
    .await
}

async fn rotations(task: &mut Task<'_>) -> Result<(), Halt> {
    task.drain(other, |app, batch| {
        let end = token::Column::PreviousExpiresAt;
        let over = Condition::all().add(end.lt(batch.now.minus(SETTLED)));
        let nothing =
            [(token::Column::PreviousDigest, Expr::value(Value::Bytes(None))), (end, Expr::value(Value::BigInt(None)))];
        update_some(app.db.engine(), &[token::Column::Id], nothing, over, end, batch.size)
    })
    .await?;
    task.drain(other, |app, batch| {
        let end = client::Column::PreviousExpiresAt;
        let over = Condition::all().add(end.lt(batch.now.minus(SETTLED)));
        let digest = (client::Column::PreviousDigest, Expr::value(Value::Bytes(None)));
        let nothing = [digest, (end, Expr::value(Value::BigInt(None)))];
        update_some(app.db.engine(), &[client::Column::ClientId], nothing, over, end, batch.size)
    })
    .await
}

/// Runs and events that are kept no longer, and those runs that a clock wrote which was ahead: they would stand before all others until then.
pub(super) async fn history(task: &mut Task<'_>) -> Result<(), Halt> {
    let key = maintenance_run::Column::Id;
    task.drain(other, |app, batch| {
        delete_some(app.db.engine(), &[key], history::from_the_future(batch.now), key, batch.size)
    })
    .await?;
    task.drain(other, |app, batch| {
        let old = history::begun_before(batch.now.minus(app.config.maintenance.keep_runs));
        delete_some(app.db.engine(), &[key], old, key, batch.size)
    })
    .await?;
    events(task).await
}

/// Events of the audit trail that are kept no longer. One that a clock wrote which was ahead goes when its time has come: what
/// is on record is not deleted for being odd.
async fn events(task: &mut Task<'_>) -> Result<(), Halt> {
    let Some(keep) = task.app.config.audit.keep else { return Ok(()) };
    let key = audit_event::Column::Id;
    task.drain(other, |app, batch| {
        delete_some(app.db.engine(), &[key], audit::before(batch.now.minus(keep)), key, batch.size)
    })
    .await
}

/// Deleted users of whom no token is left.
pub(super) async fn users(task: &mut Task<'_>) -> Result<(), Halt> {
    task.drain_a_little(other, |app, batch| {
        let (engine, retention) = (app.db.engine(), app.config.maintenance.retain_revoked);
        let gone = user::Column::DeletedAt.lt(batch.now.minus(retention.max(SETTLED)));
        let theirs = dialect::tokens_of(engine, Expr::col((user::Entity, user::Column::Id)));
        let theirs = Query::select().expr(Expr::val(1)).from(token::Entity).cond_where(theirs).to_owned();
        let gone = Condition::all().add(gone).add(Expr::exists(theirs).not());
        delete_some(engine, &[user::Column::Id], gone, user::Column::DeletedAt, batch.size)
    })
    .await
}

/// Deleted clients to whom no token is left.
pub(super) async fn clients(task: &mut Task<'_>) -> Result<(), Halt> {
    task.drain_a_little(other, |app, batch| {
        let retention = app.config.maintenance.retain_revoked;
        let gone = client::Column::DeletedAt.lt(batch.now.minus(retention.max(SETTLED)));
        let theirs = Query::select()
            .expr(Expr::val(1))
            .from(token::Entity)
            .and_where(
                Expr::col((token::Entity, token::Column::ClientId)).equals((client::Entity, client::Column::ClientId)),
            )
            .to_owned();
        let gone = Condition::all().add(gone).add(Expr::exists(theirs).not());
        delete_some(app.db.engine(), &[client::Column::ClientId], gone, client::Column::DeletedAt, batch.size)
    })
    .await
}
