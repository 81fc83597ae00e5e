//! What can go wrong below HTTP. Each variant's doc begins with the status it becomes there.

use std::{borrow::Cow, time::Duration};

use sea_orm::{
    DbErr, RuntimeErr, SqlErr,
    sqlx::error::{DatabaseError, ErrorKind},
};

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 404: it does not exist, or is none of the caller's business.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// 409: it cannot be done to the thing as it is now.
    #[error("{0}")]
    Conflict(String),
    /// 409: an owner has as many tokens of a kind as the configuration allows.
    #[error("the limit of {limit} active tokens of this kind for one user is reached")]
    TokenLimit {
        /// How many are allowed.
        limit: u32,
    },
    /// 422: a value is out of range; names the field.
    #[error("{field}: {message}")]
    Invalid {
        /// The field as the caller knows it.
        field: &'static str,
        /// What would be right.
        message: String,
    },
    /// 403: the caller may not do this.
    #[error("{0}")]
    Forbidden(String),
    /// 403: the caller's token lacks scopes.
    #[error("this needs the scope {needed}")]
    InsufficientScope {
        /// The scopes that would do, separated by spaces.
        needed: String,
    },
    /// 401: user name and password do not go together, whichever of them is the reason.
    #[error("the user name or the password is wrong")]
    BadCredentials,
    /// 401: client id and client secret do not go together, whichever of them is the reason.
    #[error("the client id or the client secret is wrong")]
    BadClient,
    /// 401: the token that was presented stopped working meanwhile.
    #[error("{0}")]
    Refused(Refusal),
    /// 429: too many attempts.
    #[error("too many attempts; try again in {} s", .retry_after.as_secs())]
    Throttled {
        /// When it is worth trying again.
        retry_after: Duration,
        /// The limit that was reached.
        policy: Policy,
    },
    /// 503: all hashing threads have a full queue.
    #[error("too many passwords are being checked right now")]
    Busy,
    /// 503: the database did not answer as it should.
    #[error("the database failed: {0}")]
    Storage(#[from] Storage),
    /// 500: something that must not happen.
    #[error("{0}")]
    Internal(String),
}

/// A limit on attempts: so many in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its name.
    pub name: &'static str,
    /// How many.
    pub quota: u32,
    /// In how long.
    pub window: Duration,
}

/// Why a token does not work.
///
/// Only [`Refusal::Expired`], [`Refusal::Revoked`] and [`Refusal::Refresh`] say something of a token that exists, and
/// they are given only to whom holds it: its digest matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is malformed, or there is none such.
    #[error("the token is malformed or unknown")]
    Unknown,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// It was ended.
    #[error("the token has been revoked")]
    Revoked,
    /// It is a refresh token, which buys new tokens and opens nothing itself.
    #[error("a refresh token is not accepted here")]
    Refresh,
}

/// What an operator may read of a database error: never the row, the key or the statement it was about.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text}")]
pub struct Storage {
    text: String,
    conflict: bool,
    about_a_row: bool,
}

impl Storage {
    /// Whether something failed only because another writer was faster, and may be tried again as a whole.
    pub fn is_conflict(&self) -> bool {
        self.conflict
    }

    /// Whether the database refused a row, which a constraint forbids (one that somebody added, say): it may take others.
    pub(crate) fn is_about_a_row(&self) -> bool {
        self.about_a_row
    }
}

/// The same of an error of the database's: a deadlock, a failure to serialize, and what a Galera cluster calls either.
pub fn is_conflict(error: &DbErr) -> bool {
    // MariaDB tells SQL states: its own 1213 is 40001.
    matches!(code(error).as_deref(), Some("40001" | "40P01"))
}

/// Whether `SQLite` waited in vain for another process, which has been writing for long.
pub fn is_busy(error: &DbErr) -> bool {
    code(error).as_deref() == Some("5")
}

fn is_about_a_row(error: &DbErr) -> bool {
    database_error(error).is_some_and(|error| !matches!(error.kind(), ErrorKind::Other))
}

fn code(error: &DbErr) -> Option<Cow<'_, str>> {
    database_error(error).and_then(DatabaseError::code)
}

fn database_error(error: &DbErr) -> Option<&dyn DatabaseError> {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) = error else {
        return None;
    };
    error.as_database_error()
}

impl From<DbErr> for Storage {
    fn from(error: DbErr) -> Self {
        Self { conflict: is_conflict(&error), about_a_row: is_about_a_row(&error), text: legible(&error) }
    }
}

fn legible(error: &DbErr) -> String {
    // The text of a violated constraint repeats the values that violated it.
    if let Some(SqlErr::UniqueConstraintViolation(_)) = error.sql_err() {
        return "a unique constraint was violated".to_owned();
    }
    // SeaORM's own words about where an error came from help nobody.
    if let DbErr::Conn(RuntimeErr::SqlxError(error))
    | DbErr::Exec(RuntimeErr::SqlxError(error))
    | DbErr::Query(RuntimeErr::SqlxError(error)) = error
    {
        return error.to_string();
    }
    error.to_string()
}

impl From<getrandom::Error> for Error {
    fn from(error: getrandom::Error) -> Self {
        Self::Internal(format!("the operating system gave no random bytes: {error}"))
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        Self::Storage(error.into())
    }
}

impl Error {
    /// A value out of range.
    pub fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid { field, message: message.into() }
    }
}
