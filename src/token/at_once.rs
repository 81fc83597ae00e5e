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

use entity::{Scopes, Timestamp, audit_event, token};
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbErr, IdenStatic, Iterable, ModelTrait, QueryResult, Statement, Value,
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
        Db, Engine,
        shared::{Shared, Terms},
        sql::{Lengths, Sql},
    },
    error::{Error, Storage},
    pause::pause,
};

/// Tokens that are about to be made, where they share statements.
#[derive(Debug)]
pub struct Issuing(Option<Shared<Guarded, bool>>);

impl Issuing {
    /// Starts to make those that wait.
    pub fn start(db: &Db) -> Self {
        let terms = Terms { what: "making a token", most: MOST_AT_ONCE, patience: db.deadline() };
        let start = |db: Db| Shared::start(terms, move |wanted| each(db.clone(), wanted));
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
    let guarded = Guarded { token, epoch: by.epoch(), asking: by.id(), event };
    pause!(app.db, Change);
    let made = match &app.issuing.0 {
        Some(shared) => shared.ask(guarded).await?,
        // As a task: it is made, and told, also when whoever asked has gone.
        None => match tokio::spawn(on_mysql(app.db.clone(), guarded)).await {
            Ok(made) => made?,
            Err(error) => return Err(Error::Internal(error.to_string())),
        },
    };
    Ok(made.then_some(Issued { secret, held }))
}

const LENGTHS: usize = 6;
/// How many are made together.
const MOST_AT_ONCE: usize = Lengths::<LENGTHS>::MOST;

/// Makes as many of these as may be made. That a row is refused is no error of the others.
async fn each(db: Db, wanted: Vec<Guarded>) -> Result<Vec<Result<bool, Storage>>, Storage> {
    let made = all(&db, &wanted).await;
    if wanted.len() > 1 && made.as_ref().is_err_and(Storage::is_about_a_row) {
        let mut answers = Vec::with_capacity(wanted.len());
        for one in wanted.chunks(1) {
            answers.push(all(&db, one).await.map(|made| !made.is_empty()));
        }
        return Ok(answers);
    }
    let made = made?;
    Ok(wanted.iter().map(|one| Ok(made.contains(&one.token.id))).collect())
}

/// Makes as many of these as may be made, at most [`MOST_AT_ONCE`], and tells which.
async fn all(db: &Db, wanted: &[Guarded]) -> Result<HashSet<Uuid>, Storage> {
    let made =
        if db.engine() == Engine::Postgres { on_postgres(db, wanted).await? } else { on_sqlite(db, wanted).await? };
    for one in wanted.iter().filter(|one| made.contains(&one.token.id)) {
        audit::log(std::slice::from_ref(&one.event));
    }
    Ok(made)
}

async fn on_postgres(db: &Db, wanted: &[Guarded]) -> Result<HashSet<Uuid>, DbErr> {
    static BOTH: Lengths<LENGTHS> = Lengths::new();
    let both = statement(db, &BOTH, insert_both, wanted, |one| [token_values(one), event_values(one)].concat());
    ids(&db.writer().query_all_raw(both).await?)
}

async fn on_sqlite(db: &Db, wanted: &[Guarded]) -> Result<HashSet<Uuid>, Storage> {
    static TOKENS: Lengths<LENGTHS> = Lengths::new();
    static EVENTS: Lengths<LENGTHS> = Lengths::new();
    let tokens = statement(db, &TOKENS, insert_tokens, wanted, token_values);
    let events = statement(db, &EVENTS, insert_events, wanted, event_values);
    let carry_out = async move |txn: &DatabaseTransaction| {
        txn.execute_raw(tokens).await?;
        ids(&txn.query_all_raw(events).await?)
    };
    db.transact(move |txn| Box::pin(carry_out(txn))).await
}

/// Only one: see above.
async fn on_mysql(db: Db, one: Guarded) -> Result<bool, Storage> {
    static TOKEN: Sql = Sql::new();
    let backend = db.writer().get_database_backend();
    let mut values: Vec<_> = token::Column::iter().map(|column| one.token.get(column)).collect();
    values.extend([one.token.user_id.into(), one.epoch.into(), one.asking.into()]);
    let token = Statement::from_sql_and_values(backend, TOKEN.of(backend, insert_token), values);
    let event = one.event.clone();
    let carry_out = async move |txn: &DatabaseTransaction| {
        let made = txn.execute_raw(token).await?.rows_affected() > 0;
        if made {
            audit::insert(txn, &[event]).await?;
        }
        Ok(made)
    };
    let made = db.transact(move |txn| Box::pin(carry_out(txn))).await?;
    if made {
        audit::log(&[one.event]);
    }
    Ok(made)
}

fn ids(rows: &[QueryResult]) -> Result<HashSet<Uuid>, DbErr> {
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// What is missing to the statement's length is filled with rows of NULLs, which are nobody's.
fn statement(
    db: &Db,
    texts: &'static Lengths<LENGTHS>,
    text: fn(usize) -> String,
    wanted: &[Guarded],
    values: fn(&Guarded) -> Vec<Value>,
) -> Statement {
    let backend = db.writer().get_database_backend();
    let (length, sql) = texts.of(backend, wanted.len(), text);
    let mut rows: Vec<_> = wanted.iter().map(values).collect();
    let nobodys = rows.first().map(|row| row.iter().map(Value::as_null).collect()).unwrap_or_default();
    rows.resize(length, nobodys);
    Statement::from_sql_and_values(backend, sql, rows.concat())
}

/// A token, and what it rests on.
fn token_values(Guarded { token, epoch, asking, .. }: &Guarded) -> Vec<Value> {
    token::Column::iter().map(|column| token.get(column)).chain([(*epoch).into(), (*asking).into()]).collect()
}

/// What these are called in a statement.
fn token_names() -> Vec<String> {
    let token = token::Column::iter().map(|column| format!("token_{}", column.as_str()));
    token.chain(["epoch".to_owned(), "asking".to_owned()]).collect()
}

fn event_values(Guarded { event, .. }: &Guarded) -> Vec<Value> {
    audit_event::Column::iter().map(|column| event.get(column)).collect()
}

fn event_names() -> Vec<String> {
    audit_event::Column::iter().map(|column| format!("event_{}", column.as_str())).collect()
}

/// `WITH wanted`: so many rows of values that are called so.
fn with_wanted(names: &[String], length: usize, placeholder: impl Fn(usize) -> String) -> String {
    let row = |row: usize| {
        let places = (1..=names.len()).map(|column| placeholder(row * names.len() + column));
        format!("({})", places.collect::<Vec<_>>().join(", "))
    };
    let rows: Vec<_> = (0..length).map(row).collect();
    format!("WITH wanted ({}) AS (VALUES {})", names.join(", "), rows.join(", "))
}

fn into_token() -> String {
    format!(
        "INSERT INTO token ({})",
        token::Column::iter().map(|column| column.as_str()).collect::<Vec<_>>().join(", ")
    )
}

fn into_audit_event() -> String {
    let columns: Vec<_> = audit_event::Column::iter().map(|column| column.as_str()).collect();
    format!("INSERT INTO audit_event ({}) SELECT {} FROM wanted", columns.join(", "), event_names().join(", "))
}

fn from_wanted() -> String {
    let names: Vec<_> = token_names().into_iter().take(token::Column::iter().count()).collect();
    format!("SELECT {} FROM wanted", names.join(", "))
}

/// Who a token is for, if they may have it.
fn from_account(id: &str, epoch: &str) -> String {
    format!("FROM account WHERE id = {id} AND account.epoch = {epoch} AND disabled_at IS NULL AND deleted_at IS NULL")
}

/// Whether the token that asks is not revoked.
fn is_present(id: &str) -> String {
    format!("(SELECT revoked_at IS NULL FROM token AS present WHERE present.id = {id})")
}

/// Each user is looked for and locked on its own, and so is each token that asks: a join might be planned for tables that are still
/// small, and read them through when they no longer are.
fn insert_both(length: usize) -> String {
    let wanted = with_wanted(&[token_names(), event_names()].concat(), length, |place| format!("${place}"));
    let (into_token, from_wanted, into_audit_event) = (into_token(), from_wanted(), into_audit_event());
    let (from_account, is_present) = (from_account("token_user_id", "wanted.epoch"), is_present("asking"));
    format!(
        "{wanted}, made AS (
            {into_token} {from_wanted}, LATERAL (SELECT {from_account} FOR SHARE SKIP LOCKED) AS owner WHERE {is_present}
            RETURNING id
        )
        {into_audit_event} WHERE token_id IN (SELECT id FROM made) RETURNING token_id"
    )
}

fn insert_tokens(length: usize) -> String {
    let wanted = with_wanted(&token_names(), length, |_| "?".to_owned());
    let (into_token, from_wanted) = (into_token(), from_wanted());
    let (from_account, is_present) = (from_account("token_user_id", "wanted.epoch"), is_present("asking"));
    format!("{wanted} {into_token} {from_wanted} WHERE EXISTS (SELECT 1 {from_account}) AND {is_present}")
}

/// Of the tokens that were made.
fn insert_events(length: usize) -> String {
    let (wanted, into_audit_event) = (with_wanted(&event_names(), length, |_| "?".to_owned()), into_audit_event());
    format!(
        "{wanted} {into_audit_event} WHERE EXISTS (SELECT 1 FROM token WHERE id = event_token_id) RETURNING token_id"
    )
}

fn insert_token() -> String {
    let places = vec!["?"; token::Column::iter().count()].join(", ");
    let (into_token, from_account, is_present) = (into_token(), from_account("?", "?"), is_present("?"));
    format!("{into_token} SELECT {places} {from_account} AND {is_present} LOCK IN SHARE MODE")
}
