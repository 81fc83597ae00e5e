//! The text of a statement that is asked again and again, written once for each engine: building it takes longer than most
//! databases take to carry it out.

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
