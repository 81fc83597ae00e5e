//! How the schema got here, one step a file. Steps are never edited once released, every step can go down, and none
//! knows the `entity` crate: what a row is today must not rewrite what it was.
//!
//! Take a lock before running them (sea-orm-migration takes none); Daypass's `db::migrate` does.

use sea_orm_migration::prelude::{MigrationTrait, async_trait};
pub use sea_orm_migration::{MigrationStatus, MigratorTrait};

mod m20261124_000001_account;
mod m20261124_000002_token;
mod m20261124_000003_attempt;
mod m20261124_000004_maintenance_run;
mod m20261124_000005_change;
mod m20261124_000006_attempt_expires_at;
mod m20261125_000007_maintenance_job;
mod m20261125_000008_maintenance_indexes;
mod m20261125_000009_token_owner;
mod m20261125_000010_client;
mod m20261125_000011_refresh_token;
mod m20261125_000012_audit_event;
mod m20261125_000013_known_address;
mod m20261126_000014_token_hour;
mod table;

/// All steps, oldest first.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261124_000001_account::Migration),
            Box::new(m20261124_000002_token::Migration),
            Box::new(m20261124_000003_attempt::Migration),
            Box::new(m20261124_000004_maintenance_run::Migration),
            Box::new(m20261124_000005_change::Migration),
            Box::new(m20261124_000006_attempt_expires_at::Migration),
            Box::new(m20261125_000007_maintenance_job::Migration),
            Box::new(m20261125_000008_maintenance_indexes::Migration),
            Box::new(m20261125_000009_token_owner::Migration),
            Box::new(m20261125_000010_client::Migration),
            Box::new(m20261125_000011_refresh_token::Migration),
            Box::new(m20261125_000012_audit_event::Migration),
            Box::new(m20261125_000013_known_address::Migration),
            Box::new(m20261126_000014_token_hour::Migration),
        ]
    }
}
