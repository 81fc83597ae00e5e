//! Families of refresh tokens: what one login led to, and what ends together.
//!
//! Whoever makes, spends or ends a token of a family holds the lock on the row of its first one ([`lock`]). So nobody ends a
//! family beside a trade that goes on with it: who comes later sees what the other left.

use std::collections::BTreeSet;

use entity::{DigestAlgorithm, Timestamp, refresh_token, token};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter,
    QuerySelect,
    sea_query::{Expr, Query},
};
use uuid::Uuid;

use super::{Held, Kind, check::equal, issue::Issued, revoke, secret::Presented};
use crate::write::Write;

/// The refresh token that is presented, if that is one; spent or not, and whether or not it still is among the tokens.
pub(super) async fn find(
    db: &impl ConnectionTrait,
    presented: &Presented,
) -> Result<Option<refresh_token::Model>, DbErr> {
    let found = find_all(db, std::slice::from_ref(presented)).await?;
    Ok(found.into_iter().next())
}

/// Those among the presented that are refresh tokens; at most [`revoke::MOST_AT_ONCE`] may be.
pub(super) async fn find_all(
    db: &impl ConnectionTrait,
    presented: &[Presented],
) -> Result<Vec<refresh_token::Model>, DbErr> {
    let ids = presented.iter().filter(|presented| presented.kind == Kind::Refresh).map(|presented| presented.id);
    let mut rows = refresh_token::Entity::find().filter(refresh_token::Column::TokenId.is_in(ids)).all(db).await?;
    let is_held = |row: &refresh_token::Model| {
        presented.iter().any(|it| it.id == row.token_id && bool::from(equal(&it.digest, &row.digest)))
    };
    rows.retain(is_held);
    Ok(rows)
}

/// Puts a refresh token on record that was just made beside `access`: the next of a family, or the first of its own.
pub(super) async fn add(
    write: &Write<'_>,
    issued: &Issued,
    access: &Held,
    user: Uuid,
    family: Option<Uuid>,
) -> Result<(), DbErr> {
    let held = &issued.held;
    let row = refresh_token::Model {
        token_id: held.id(),
        family_id: family.unwrap_or_else(|| held.id()),
        user_id: user,
        client_id: held.client_id().map(str::to_owned),
        digest_algorithm: DigestAlgorithm::Sha256,
        digest: issued.secret.digest(),
        access_token_id: access.id(),
        successor_id: None,
        spent_at: None,
        expires_at: held.max_expires_at(),
    };
    let insert = refresh_token::Entity::insert(row.into_active_model().reset_all());
    insert.exec_without_returning(write.txn()).await.map(drop)
}

/// Waits until nobody else changes this family, and keeps others from it until the transaction ends.
pub(super) async fn lock(write: &Write<'_>, family: Uuid) -> Result<(), DbErr> {
    refresh_token::Entity::find_by_id(family).lock_exclusive().one(write.txn()).await.map(drop)
}

/// Marks a refresh token as spent; false if it was already. This is what decides who trades it.
pub(super) async fn spend(write: &Write<'_>, token: Uuid, now: Timestamp) -> Result<bool, DbErr> {
    let spent = refresh_token::Entity::update_many()
        .col_expr(refresh_token::Column::SpentAt, Expr::value(now))
        .filter(refresh_token::Column::TokenId.eq(token))
        .filter(refresh_token::Column::SpentAt.is_null())
        .exec(write.txn())
        .await?;
    Ok(spent.rows_affected == 1)
}

/// Notes what a spent refresh token was traded for.
pub(super) async fn succeed(write: &Write<'_>, token: Uuid, successor: Uuid) -> Result<(), DbErr> {
    refresh_token::Entity::update_many()
        .col_expr(refresh_token::Column::SuccessorId, Expr::value(successor))
        .filter(refresh_token::Column::TokenId.eq(token))
        .exec(write.txn())
        .await
        .map(drop)
}

/// The families that these tokens are of, whether as refresh tokens or as what was issued beside one.
pub(super) async fn of(write: &Write<'_>, tokens: &[Uuid]) -> Result<BTreeSet<Uuid>, DbErr> {
    // In their order, so that two who end the same ones do not wait for each other in a circle.
    let mut found = BTreeSet::new();
    for some in tokens.chunks(revoke::MOST_AT_ONCE) {
        let theirs = Condition::any()
            .add(refresh_token::Column::TokenId.is_in(some.iter().copied()))
            .add(refresh_token::Column::AccessTokenId.is_in(some.iter().copied()));
        let families = refresh_token::Entity::find().select_only().column(refresh_token::Column::FamilyId);
        found.extend(families.filter(theirs).into_tuple::<Uuid>().all(write.txn()).await?);
    }
    Ok(found)
}

/// Ends all that a family still has: its refresh token, and the access tokens that were issued beside those there ever were.
/// Tells how many these were.
pub(super) async fn end(write: &Write<'_>, family: Uuid, why: revoke::Why, now: Timestamp) -> Result<usize, DbErr> {
    lock(write, family).await?;
    let mut ended = 0;
    for column in [refresh_token::Column::TokenId, refresh_token::Column::AccessTokenId] {
        let theirs = Query::select()
            .column(column)
            .from(refresh_token::Entity)
            .and_where(refresh_token::Column::FamilyId.eq(family))
            .to_owned();
        let left = token::Entity::find()
            .select_only()
            .column(token::Column::Id)
            .filter(token::Column::Id.in_subquery(theirs))
            .filter(token::Column::RevokedAt.is_null());
        let left: Vec<Uuid> = left.into_tuple().all(write.txn()).await?;
        ended += revoke::alone(write, left, why, now).await?;
    }
    Ok(ended)
}
