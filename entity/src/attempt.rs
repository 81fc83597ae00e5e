//! The `attempt` table: counters that the limits on guessing rest on, shared by every replica.

use sea_orm::entity::prelude::*;

use crate::Timestamp;

/// How often something was tried within a window of time.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "attempt")]
pub struct Model {
    /// What is counted, such as `login-address:192.0.2.7`, or `login-name:` and a digest of the name.
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject: String,
    /// How often, since the window began.
    pub count: i64,
    /// When the window ends and counting begins anew; exclusive.
    pub expires_at: Timestamp,
}

impl ActiveModelBehavior for ActiveModel {}
