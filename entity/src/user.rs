//! The `user` table.

use sea_orm::entity::prelude::*;

use crate::{PasswordHash, Scopes, Timestamp};

/// Somebody who can log in. The table is `account`, for `user` is a reserved word in `PostgreSQL`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "account")]
pub struct Model {
    /// The user id, a `UUIDv7`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The name as it was given.
    pub username: String,
    /// The name in lower case, unique; of a deleted user something no name can be, so that the name is free again.
    #[sea_orm(unique)]
    pub canonical_name: String,
    /// None for a user who cannot log in by password.
    pub password_hash: Option<PasswordHash>,
    /// What tokens of this user may hold.
    pub scopes: Scopes,
    /// Counts what ends the user's tokens at once (password, disabling, "all"): a login or an issue that began
    /// before does not complete after.
    pub epoch: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// The last time its password was right.
    pub last_login_at: Option<Timestamp>,
    /// Since when it cannot log in.
    pub disabled_at: Option<Timestamp>,
    /// Since when it is gone; the row goes with the purge.
    pub deleted_at: Option<Timestamp>,
    /// When anything but its last login changed.
    pub changed_at: Timestamp,
}

impl ActiveModelBehavior for ActiveModel {}
