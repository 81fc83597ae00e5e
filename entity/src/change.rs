//! The `change` table: which tokens changed, and when, for those who remember what tokens were like.

use sea_orm::entity::prelude::*;

/// One change of one token, other than its use. Rows are added, never altered, and go when they are old.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "change")]
pub struct Model {
    /// When it was written, in whole seconds since the Unix epoch: what is looked for, by the seconds that may hold
    /// something new.
    #[sea_orm(primary_key, auto_increment = false)]
    pub second: i64,
    /// Tells changes of one second apart.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// What changed.
    pub token_id: Uuid,
}

impl ActiveModelBehavior for ActiveModel {}
