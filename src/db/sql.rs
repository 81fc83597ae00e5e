//! The text of a statement that is asked again and again, written once for each engine: building it takes longer than most
//! databases take to carry it out.
//!
//! Where it is for many rows, there are few lengths of it: one row, two, four and so on. A connection prepares and keeps one for
//! each, and what is missing to a length is filled up.

use std::sync::OnceLock;

use sea_orm::DatabaseBackend;

/// One statement's text, in each engine's words.
pub(crate) struct Sql([OnceLock<String>; 3]);

impl Sql {
    /// Not written yet.
    pub(crate) const fn new() -> Self {
        Self([const { OnceLock::new() }; 3])
    }

    /// The text for this engine, which `write` writes the first time. Its placeholders stand in the order in which a
    /// builder meets the values.
    pub(crate) fn of(&self, backend: DatabaseBackend, write: impl FnOnce() -> String) -> &str {
        let [mysql, postgres, sqlite] = &self.0;
        let text = match backend {
            DatabaseBackend::MySql => mysql,
            DatabaseBackend::Postgres => postgres,
            DatabaseBackend::Sqlite | _ => sqlite,
        };
        text.get_or_init(write)
    }
}

/// A statement's text for each of `N` lengths.
pub(crate) struct Lengths<const N: usize>([Sql; N]);

impl<const N: usize> Lengths<N> {
    /// The longest.
    pub(crate) const MOST: usize = 1 << (N - 1);

    /// Not written yet.
    pub(crate) const fn new() -> Self {
        Self([const { Sql::new() }; N])
    }

    /// The length for so many rows, at least one and at most [`Lengths::MOST`], and the text for it, which `write` writes the
    /// first time.
    pub(crate) fn of(
        &self,
        backend: DatabaseBackend,
        rows: usize,
        write: impl FnOnce(usize) -> String,
    ) -> (usize, &str) {
        let length = rows.next_power_of_two();
        (length, self.0[length.ilog2() as usize].of(backend, || write(length)))
    }
}
