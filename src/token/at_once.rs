//! Making a token by a statement that writes it only if its user may still have it.
//!
//! It does what the transaction in [`super::issue::api`] does without the way to and fro between its statements: that is most
//! of what issuing takes. The user's row is locked as there. That of the token that asks need not be: what ends it together with
//! the user's others counts up the user's epoch, and what ends it alone might as well have come a moment later.
//!
//! The record of it is written in the same transaction. Where one statement can write two tables, it makes all the tokens that
//! wait ([`crate::db::shared`]), and steps over those whose user somebody holds: they go the long way, and wait there. Elsewhere
//! the record is a second statement's.

use std::collections::HashSet;

use entity::{Scopes, Timestamp, audit_event, token, user};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseBackend, DbErr, IdenStatic, Iterable, ModelTrait, Statement, Value,
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
        Db, dialect,
        shared::{How, Shared},
        sql::Sql,
    },
    error::{Error, Storage, is_about_a_row},
};

/// Tokens that are about to be made.
#[derive(Debug)]
pub struct Issues(Option<Shared<Guarded, bool>>);

impl Issues {
    /// Starts to make those that wait for the same statement, where there can be one.
    pub fn start(db: &Db) -> Self {
        let how = How { what: "making a token", most: MOST_AT_ONCE, patience: db.deadline() };
        let start = |db: Db| Shared::start(how, move |wanted| each(db.clone(), wanted));
        Self(dialect::writes_two_tables_at_once(db.engine()).then(|| start(db.clone())))
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
    let made = match &app.issues.0 {
        Some(shared) => shared.ask(guarded).await?,
        None => one(app, &guarded).await?,
    };
    if made {
        audit::log(&[event]);
    }
    Ok(made.then_some(Issued { secret, held }))
}

/// Makes one by two statements.
async fn one(app: &App, Guarded { token, epoch, asking, event }: &Guarded) -> Result<bool, Storage> {
    static TOKEN: Sql = Sql::new();
    static EVENT: Sql = Sql::new();
    let backend = app.db.writer().get_database_backend();
    let mut values: Vec<_> = token::Column::iter().map(|column| token.get(column)).collect();
    values.extend([token.user_id.into(), (*epoch).into(), (*asking).into()]);
    let record: Vec<_> = audit_event::Column::iter().map(|column| event.get(column)).collect();
    let token = Statement::from_sql_and_values(backend, TOKEN.of(backend, || insert_token(backend)), values);
    let event = Statement::from_sql_and_values(backend, EVENT.of(backend, || insert_event(backend)), record);
    Ok(app.db.statement(token, Some(event)).await? > 0)
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

/// How many one statement makes.
const MOST_AT_ONCE: usize = 1 << (LENGTHS - 1);
/// How many statements there are: for one token, two, four and so on.
const LENGTHS: usize = 6;

/// Makes as many of these as may be made. Where a row is refused, that is no error of the others.
async fn each(db: Db, wanted: Vec<Guarded>) -> Result<Vec<Result<bool, Storage>>, Storage> {
    let made = match all(&db, &wanted).await {
        Err(error) if wanted.len() > 1 && is_about_a_row(&error) => {
            let mut answers = Vec::with_capacity(wanted.len());
            for one in &wanted {
                let made = all(&db, std::slice::from_ref(one)).await;
                answers.push(made.map(|made| made.contains(&one.token.id)).map_err(Storage::from));
            }
            return Ok(answers);
        }
        made => made?,
    };
    Ok(wanted.iter().map(|one| Ok(made.contains(&one.token.id))).collect())
}

/// Makes as many of these as may be made, at most [`MOST_AT_ONCE`], and tells which.
///
/// There are few statements, each prepared once for a connection: what is missing to a length is filled with rows without a user.
async fn all(db: &Db, wanted: &[Guarded]) -> Result<HashSet<Uuid>, DbErr> {
    static SQL: [Sql; LENGTHS] = [const { Sql::new() }; LENGTHS];
    if wanted.is_empty() {
        return Ok(HashSet::new());
    }
    let length = wanted.len().next_power_of_two();
    let backend = db.writer().get_database_backend();
    let sql = SQL[length.ilog2() as usize].of(backend, || insert_all(length));
    let mut values: Vec<_> = wanted.iter().flat_map(values).collect();
    let nothing: Vec<_> = values.iter().take(columns().count()).map(Value::as_null).collect();
    (wanted.len()..length).for_each(|_| values.extend_from_slice(&nothing));
    let rows = db.writer().query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}

fn values(Guarded { token, epoch, asking, event }: &Guarded) -> impl Iterator<Item = Value> {
    let token = token::Column::iter().map(|column| token.get(column));
    let event = audit_event::Column::iter().map(|column| event.get(column));
    token.chain([(*epoch).into(), (*asking).into()]).chain(event)
}

/// What those values are called in the statement.
fn columns() -> impl Iterator<Item = String> {
    let token = token::Column::iter().map(|column| format!("token_{}", column.as_str()));
    let event = audit_event::Column::iter().map(|column| format!("event_{}", column.as_str()));
    token.chain(["epoch".to_owned(), "asking".to_owned()]).chain(event)
}

/// In `PostgreSQL`'s words. Each user is looked for and locked on its own, and so is each token that asks: a join might be planned
/// for tables that are still small, and read them through when they no longer are.
fn insert_all(length: usize) -> String {
    let list = |names: &mut dyn Iterator<Item = String>| names.collect::<Vec<_>>().join(", ");
    let width = columns().count();
    let row = |row: usize| format!("({})", list(&mut (1..=width).map(|column| format!("${}", row * width + column))));
    let (wanted, rows) = (list(&mut columns()), list(&mut (0..length).map(row)));
    let token = list(&mut token::Column::iter().map(|column| column.as_str().to_owned()));
    let event = list(&mut audit_event::Column::iter().map(|column| column.as_str().to_owned()));
    let tokens = list(&mut columns().filter(|name| name.starts_with("token_")));
    let events = list(&mut columns().filter(|name| name.starts_with("event_")));
    format!(
        "WITH wanted ({wanted}) AS (VALUES {rows}),
        made AS (
            INSERT INTO token ({token})
            SELECT {tokens} FROM wanted, LATERAL (
                SELECT FROM account
                WHERE id = token_user_id AND account.epoch = wanted.epoch AND disabled_at IS NULL AND deleted_at IS NULL
                FOR SHARE SKIP LOCKED
            ) AS owner
            WHERE (SELECT revoked_at IS NULL FROM token WHERE id = asking)
            RETURNING id
        )
        INSERT INTO audit_event ({event})
        SELECT {events} FROM wanted WHERE token_id IN (SELECT id FROM made)
        RETURNING token_id"
    )
}
