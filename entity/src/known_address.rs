//! The `known_address` table: from where users logged in lately.

use sea_orm::entity::prelude::*;

use crate::Timestamp;

/// An address from which a user logged in: others' failures do not lock them out there.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "known_address")]
pub struct Model {
    /// The user.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    /// The address, or the network of an IPv6 address.
    #[sea_orm(primary_key, auto_increment = false)]
    pub address: String,
    /// Until when it counts as known; exclusive.
    pub expires_at: Timestamp,
}

impl ActiveModelBehavior for ActiveModel {}
