//! What an acknowledged change survives, as far as the database's settings tell.

use sea_orm::{ConnectionTrait, DbErr, Statement};

use super::{Db, Engine};

/// A setting under which a change that was acknowledged can be lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weakness {
    /// Its name.
    pub setting: String,
    /// How it is set.
    pub value: String,
    /// What that means.
    pub meaning: &'static str,
}

/// Asks the database for the settings that weaken the promise, as they are for our connections.
pub async fn weaknesses(db: &Db) -> Result<Vec<Weakness>, DbErr> {
    let question = match db.engine() {
        Engine::Sqlite => "SELECT 'synchronous', CAST(synchronous AS TEXT) FROM pragma_synchronous",
        Engine::Postgres => {
            "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') \
             ORDER BY name"
        }
        Engine::MySql => "SHOW VARIABLES WHERE Variable_name = 'innodb_flush_log_at_trx_commit'",
    };
    let mut found = Vec::new();
    for row in db.writer().query_all_raw(Statement::from_string(db.writer().get_database_backend(), question)).await? {
        let (setting, value): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        if let Some(meaning) = meaning(&setting, &value) {
            found.push(Weakness { setting, value, meaning });
        }
    }
    Ok(found)
}

/// What may be lost, if anything. A power loss is also a crash of the machine's operating system.
fn meaning(setting: &str, value: &str) -> Option<&'static str> {
    match (setting, value) {
        ("fsync", "off") => Some("a power loss can lose acknowledged changes, and damage the whole database"),
        ("full_page_writes", "off") => Some("a power loss can damage the database"),
        ("innodb_flush_log_at_trx_commit", "1") => None,
        ("innodb_flush_log_at_trx_commit", "2") => {
            Some("a power loss can lose changes acknowledged within the last second")
        }
        ("synchronous_commit", "off") | ("innodb_flush_log_at_trx_commit", _) => {
            Some("a power loss, or a crash of the database, can lose changes acknowledged within the last second")
        }
        ("synchronous", "0" | "1") => Some(
            "a power loss can lose changes acknowledged since the last checkpoint; it is database.sqlite_durability",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_weakens_the_promise_means_something() {
        for (setting, value) in [
            ("fsync", "off"),
            ("full_page_writes", "off"),
            ("synchronous_commit", "off"),
            ("innodb_flush_log_at_trx_commit", "0"),
            ("innodb_flush_log_at_trx_commit", "2"),
            ("synchronous", "1"),
        ] {
            assert!(meaning(setting, value).is_some(), "{setting} = {value}");
        }
        for (setting, value) in [
            ("fsync", "on"),
            ("full_page_writes", "on"),
            ("synchronous_commit", "on"),
            ("synchronous_commit", "remote_apply"),
            ("innodb_flush_log_at_trx_commit", "1"),
            ("synchronous", "2"),
            ("synchronous", "3"),
        ] {
            assert_eq!(meaning(setting, value), None, "{setting} = {value}");
        }
    }
}
