//! Addresses that a user logged in from lately: there, what strangers try does not lock them out.

use std::time::Duration;

use entity::{Timestamp, known_address, user};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter,
    QuerySelect,
    sea_query::{OnConflict, Query},
};
use uuid::Uuid;

use crate::app::App;

/// For how long an address is known after a login.
pub const KNOWN: Duration = Duration::from_hours(30 * 24);
/// How much of that may have gone by before a login writes it anew: so most logins write nothing.
const PRECISION: Duration = Duration::from_hours(24);

/// Until when an address counts as known to the user of this name; none if it does not. A name that is nobody's takes as long.
pub(super) async fn until(
    app: &App,
    canonical_name: &str,
    address: &str,
    now: Timestamp,
) -> Result<Option<Timestamp>, DbErr> {
    let user = Query::select()
        .column(user::Column::Id)
        .from(user::Entity)
        .and_where(user::Column::CanonicalName.eq(canonical_name))
        .to_owned();
    known_address::Entity::find()
        .select_only()
        .column(known_address::Column::ExpiresAt)
        .filter(known_address::Column::UserId.in_subquery(user))
        .filter(known_address::Column::Address.eq(address))
        .filter(known_address::Column::ExpiresAt.gt(now))
        .into_tuple()
        .one(app.db.reader())
        .await
}

/// Notes that a user logged in from an address that is known until then, if it is.
pub(super) async fn note(
    db: &impl ConnectionTrait,
    user: Uuid,
    address: &str,
    until: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), DbErr> {
    let expires_at = now.plus_seconds(KNOWN.as_secs().try_into().unwrap_or(i64::MAX));
    if until.is_some_and(|until| until >= expires_at.minus(PRECISION)) {
        return Ok(());
    }
    let row = known_address::Model { user_id: user, address: address.to_owned(), expires_at };
    let key = [known_address::Column::UserId, known_address::Column::Address];
    let later = OnConflict::columns(key).update_column(known_address::Column::ExpiresAt).to_owned();
    let insert = known_address::Entity::insert(row.into_active_model().reset_all()).on_conflict(later);
    insert.exec_without_returning(db).await.map(drop)
}

/// Forgets all addresses of a user: whoever had the old password may have logged in from one.
pub(super) async fn forget(db: &impl ConnectionTrait, user: Uuid) -> Result<(), DbErr> {
    let theirs = known_address::Column::UserId.eq(user);
    known_address::Entity::delete_many().filter(theirs).exec(db).await.map(drop)
}

/// Addresses that are no longer known.
pub fn old(now: Timestamp) -> Condition {
    known_address::Column::ExpiresAt.lte(now).into()
}
