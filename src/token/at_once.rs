//! Making a token by a statement that writes it only if its user may still have it.
//!
//! It does what the transaction in [`super::issue::api`] does without the way to and fro between its statements: that is most
//! of what issuing takes. The user's row is locked as there. That of the token that asks need not be: what ends it together with
//! the user's others counts up the user's epoch, and what ends it alone might as well have come a moment later.
//!
//! The record of it is written in the same transaction. All tokens that wait are made by the same statements, but for MySQL and
//! MariaDB, which would have those whose users nobody holds wait for those whose users somebody does: `PostgreSQL` can step over
//! these, which go the long way and wait there, and `SQLite` has one writer.

use std::collections::HashSet;

use entity::{Scopes, Timestamp, audit_event, token, user};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseBackend, DatabaseTransaction, DbErr, IdenStatic, Iterable, ModelTrait,
    QueryResult, Statement, Value,
    sea_query::{Expr, ExprTrait, LockType, Query},
};
use uuid::Uuid;

use super::{
    Held, Kind,
    issue::{Issued, Wanted, issued, new},
    row::{Row, User},
};
use crate::{
    app::App,
    audit::{self, Actor},
    db::{
        Db, Engine, dialect,
        shared::{How, Shared},
        sql::Sql,
    },
    error::{Error, Storage},
    pause::pause,
};

/// Tokens that are about to be made.
#[derive(Debug)]
pub struct Issues(Option<Shared<Guarded, bool>>);

impl Issues {
    /// Starts to make those that wait, where they share statements.
    pub fn start(db: &Db) -> Self {
        let how = How { what: "making a token", most: MOST_AT_ONCE, patience: db.deadline() };
        let start = |db: Db| Shared::start(how, move |wanted| each(db.clone(), wanted));
        Self((db.engine() != Engine::MySql).then(|| start(db.clone())))
    }
}

/// A row, and what it rests on.
#[derive(Debug)]
struct Guarded {
    token: token::Model,
    /// The epoch that its user must still have.
    epoch: i64,
    /// The token that asks, which must not be revoked.
    asking: Uuid,
    event: audit_event::Model,
}

/// Makes a token for the user of the one that asks; none if either may not have it any more, for whatever reason.
pub(super) async fn issue(
    app: &App,
    by: &Held,
    actor: &Actor,
    wanted: &Wanted,
    scopes: Scopes,
    now: Timestamp,
) -> Result<Option<Issued>, Error> {
    let Some(user) = by.user_id() else { return Ok(None) };
    let (secret, token) = new(app, Some(user), Kind::Api, wanted, scopes.clone(), now)?;
    // All that is granted is within what the user may have.
    let owner = User { username: by.username().to_owned(), grantable: scopes, epoch: by.epoch() };
    let held: Held = Row { token: token.clone(), user: Some(owner) }.into();
    let event = issued(&held).by(actor, now);
    let guarded = Guarded { token, epoch: by.epoch(), asking: by.id(), event: event.clone() };
    pause!(app.db, Change);
    let made = match &app.issues.0 {
        Some(shared) => shared.ask(guarded).await?,
        None => one(app, &guarded).await?,
    };
    if made {
        audit::log(&[event]);
    }
    Ok(made.then_some(Issued { secret, held }))
}

/// Makes one by statements of its own.
async fn one(app: &App, Guarded { token, epoch, asking, event }: &Guarded) -> Result<bool, Storage> {
    static TOKEN: Sql = Sql::new();
    static EVENT: Sql = Sql::new();
    let backend = app.db.writer().get_database_backend();
    let mut values: Vec<_> = token::Column::iter().map(|column| token.get(column)).collect();
    values.extend([token.user_id.into(), (*epoch).into(), (*asking).into()]);
    let record: Vec<_> = audit_event::Column::iter().map(|column| event.get(column)).collect();
    let token = Statement::from_sql_and_values(backend, TOKEN.of(backend, || insert_token(backend)), values);
    let event = Statement::from_sql_and_values(backend, EVENT.of(backend, || insert_event(backend)), record);
    let carry_out = async move |txn: &DatabaseTransaction| {
        let made = txn.execute_raw(token).await?.rows_affected() > 0;
        if made {
            txn.execute_raw(event).await?;
        }
        Ok(made)
    };
    app.db.together(move |txn| Box::pin(carry_out(txn))).await
}

/// Inserts the values of a row for a user with this id and epoch, who may have it, if the token of this id is not revoked.
fn insert_token(backend: DatabaseBackend) -> String {
    let placeholder = || Expr::val(Uuid::nil());
    let asking = Query::select()
        // Not a value: that would be one more placeholder.
        .expr(Expr::cust("1"))
        .from(token::Entity)
        .and_where(token::Column::RevokedAt.is_null())
        .and_where(token::Column::Id.into_expr().eq(placeholder()))
        .to_owned();
    let mut values = Query::select();
    values
        .exprs(token::Column::iter().map(|_| placeholder()))
        .from(user::Entity)
        .and_where(user::Column::DisabledAt.is_null())
        .and_where(user::Column::DeletedAt.is_null())
        .and_where(user::Column::Id.into_expr().eq(placeholder()))
        .and_where(user::Column::Epoch.into_expr().eq(placeholder()))
        .and_where(Expr::exists(asking))
        .lock(LockType::Share);
    let mut insert = Query::insert();
    insert.into_table(token::Entity).columns(token::Column::iter());
    // It fails only for another number of values than of columns.
    drop(insert.select_from(values));
    backend.build(&insert).sql
}

fn insert_event(backend: DatabaseBackend) -> String {
    let mut insert = Query::insert();
    insert.into_table(audit_event::Entity).columns(audit_event::Column::iter());
    drop(insert.values(audit_event::Column::iter().map(|_| Expr::val(0))));
    backend.build(&insert).sql
}

/// How many are made together.
const MOST_AT_ONCE: usize = 1 << (LENGTHS - 1);
/// How many lengths there are: one token, two, four and so on.
const LENGTHS: usize = 6;

/// Makes as many of these as may be made. Where a row is refused, that is no error of the others.
async fn each(db: Db, wanted: Vec<Guarded>) -> Result<Vec<Result<bool, Storage>>, Storage> {
    let made = match all(&db, &wanted).await {
        Err(error) if wanted.len() > 1 && error.is_about_a_row() => {
            let mut answers = Vec::with_capacity(wanted.len());
            for one in &wanted {
                let made = all(&db, std::slice::from_ref(one)).await;
                answers.push(made.map(|made| made.contains(&one.token.id)));
            }
            return Ok(answers);
        }
        made => made?,
    };
    Ok(wanted.iter().map(|one| Ok(made.contains(&one.token.id))).collect())
}

/// Makes as many of these as may be made, at most [`MOST_AT_ONCE`], and tells which.
async fn all(db: &Db, wanted: &[Guarded]) -> Result<HashSet<Uuid>, Storage> {
    if wanted.is_empty() {
        return Ok(HashSet::new());
    }
    let ids = |rows: Vec<QueryResult>| -> Result<_, DbErr> { rows.iter().map(|row| row.try_get_by_index(0)).collect() };
    if dialect::writes_two_tables_at_once(db.engine()) {
        static BOTH: [Sql; LENGTHS] = [const { Sql::new() }; LENGTHS];
        let both = statement(db, &BOTH, insert_both, wanted, |one| both(one).collect());
        return Ok(ids(db.writer().query_all_raw(both).await?)?);
    }
    static TOKENS: [Sql; LENGTHS] = [const { Sql::new() }; LENGTHS];
    static EVENTS: [Sql; LENGTHS] = [const { Sql::new() }; LENGTHS];
    let tokens = statement(db, &TOKENS, insert_tokens, wanted, |one| guarded(one).collect());
    let events = statement(db, &EVENTS, insert_events, wanted, |one| event(one).collect());
    let carry_out = async move |txn: &DatabaseTransaction| {
        txn.execute_raw(tokens).await?;
        ids(txn.query_all_raw(events).await?)
    };
    db.together(move |txn| Box::pin(carry_out(txn))).await
}

/// There are few statements, each prepared once for a connection: what is missing to a length is filled with rows of NULLs, which
/// are nobody's.
fn statement(
    db: &Db,
    texts: &'static [Sql; LENGTHS],
    text: fn(usize) -> String,
    wanted: &[Guarded],
    values: fn(&Guarded) -> Vec<Value>,
) -> Statement {
    let length = wanted.len().next_power_of_two();
    let mut all: Vec<_> = wanted.iter().flat_map(values).collect();
    let nobodys: Vec<_> = all.iter().take(all.len() / wanted.len()).map(Value::as_null).collect();
    (wanted.len()..length).for_each(|_| all.extend_from_slice(&nobodys));
    let backend = db.writer().get_database_backend();
    Statement::from_sql_and_values(backend, texts[length.ilog2() as usize].of(backend, || text(length)), all)
}

fn guarded(Guarded { token, epoch, asking, .. }: &Guarded) -> impl Iterator<Item = Value> {
    token::Column::iter().map(|column| token.get(column)).chain([(*epoch).into(), (*asking).into()])
}

fn event(Guarded { event, .. }: &Guarded) -> impl Iterator<Item = Value> {
    audit_event::Column::iter().map(|column| event.get(column))
}

fn both(one: &Guarded) -> impl Iterator<Item = Value> {
    guarded(one).chain(event(one))
}

/// What the values of a token are called in a statement, and those of its event.
fn token_columns() -> Vec<String> {
    token::Column::iter().map(|column| format!("token_{}", column.as_str())).collect()
}

fn event_columns() -> Vec<String> {
    audit_event::Column::iter().map(|column| format!("event_{}", column.as_str())).collect()
}

/// `WITH wanted`: so many rows of values that are called so.
fn with_wanted(columns: &[String], length: usize, placeholder: impl Fn(usize) -> String) -> String {
    let row = |row: usize| {
        let places = (1..=columns.len()).map(|column| placeholder(row * columns.len() + column));
        format!("({})", places.collect::<Vec<_>>().join(", "))
    };
    let rows: Vec<_> = (0..length).map(row).collect();
    format!("WITH wanted ({}) AS (VALUES {})", columns.join(", "), rows.join(", "))
}

fn into_token() -> String {
    let names: Vec<_> = token::Column::iter().map(|column| column.as_str()).collect();
    format!("INSERT INTO token ({}) SELECT {} FROM wanted", names.join(", "), token_columns().join(", "))
}

fn into_audit_event() -> String {
    let names: Vec<_> = audit_event::Column::iter().map(|column| column.as_str()).collect();
    format!("INSERT INTO audit_event ({}) SELECT {} FROM wanted", names.join(", "), event_columns().join(", "))
}

/// The user that a wanted token is for, if they may have it.
const OWNER: &str = "SELECT 1 FROM account WHERE id = token_user_id AND account.epoch = wanted.epoch \
                     AND disabled_at IS NULL AND deleted_at IS NULL";
/// Whether the token that asks still works.
const ASKING: &str = "(SELECT revoked_at IS NULL FROM token AS present WHERE present.id = asking)";

/// In `PostgreSQL`'s words. Each user is looked for and locked on its own, and so is each token that asks: a join might be planned
/// for tables that are still small, and read them through when they no longer are.
fn insert_both(length: usize) -> String {
    let columns = [token_columns(), vec!["epoch".to_owned(), "asking".to_owned()], event_columns()].concat();
    let (wanted, token, event) = (with_wanted(&columns, length, |n| format!("${n}")), into_token(), into_audit_event());
    format!(
        "{wanted}, made AS ({token}, LATERAL ({OWNER} FOR SHARE SKIP LOCKED) AS owner WHERE {ASKING} RETURNING id) \
         {event} WHERE token_id IN (SELECT id FROM made) RETURNING token_id"
    )
}

fn insert_tokens(length: usize) -> String {
    let columns = [token_columns(), vec!["epoch".to_owned(), "asking".to_owned()]].concat();
    let (wanted, token) = (with_wanted(&columns, length, |_| "?".to_owned()), into_token());
    format!("{wanted} {token} WHERE EXISTS ({OWNER}) AND {ASKING}")
}

/// Of the tokens that were made.
fn insert_events(length: usize) -> String {
    let (wanted, event) = (with_wanted(&event_columns(), length, |_| "?".to_owned()), into_audit_event());
    format!("{wanted} {event} WHERE EXISTS (SELECT 1 FROM token WHERE id = event_token_id) RETURNING token_id")
}
