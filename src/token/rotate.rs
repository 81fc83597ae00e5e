//! Giving a token a new secret.

use entity::{Timestamp, token};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, sea_query::Expr};
use uuid::Uuid;

use super::{find, issue::Issued, lock, must_work, precision, secret::TokenSecret};
use crate::{app::App, error::Error};

/// The longest overlap, in seconds: a week.
pub const LONGEST_OVERLAP: i64 = 7 * 24 * 60 * 60;

/// Replaces the secret of a working token; id, policy and scopes stay.
///
/// For `overlap` seconds the old secret works too. At most two do: rotating again ends an overlap that still runs.
pub async fn rotate(app: &App, id: Uuid, overlap: i64, now: Timestamp) -> Result<Issued, Error> {
    if !(0..=LONGEST_OVERLAP).contains(&overlap) {
        return Err(Error::invalid("overlap", format!("must be 0 to {LONGEST_OVERLAP} seconds")));
    }
    let txn = app.db.begin().await?;
    let row = lock(&txn, id).await?;
    must_work(&row, now, precision(app))?;
    let secret = TokenSecret::generate(&app.config.tokens.prefix, row.kind, id)
        .map_err(|error| Error::Internal(format!("the operating system gave no random bytes: {error}")))?;
    let kept = (overlap > 0).then_some(row.digest);
    token::Entity::update_many()
        .col_expr(token::Column::Digest, Expr::value(secret.digest()))
        .col_expr(token::Column::Hint, Expr::value(secret.hint()))
        .col_expr(token::Column::PreviousDigest, Expr::value(kept))
        .col_expr(token::Column::PreviousExpiresAt, Expr::value(kept.map(|_| now.plus_seconds(overlap))))
        .col_expr(token::Column::ChangedAt, Expr::value(now))
        .filter(token::Column::Id.eq(id))
        .exec(&txn)
        .await?;
    let held = find(&txn, id).await?.ok_or(Error::NotFound("token"))?;
    txn.commit().await?;
    Ok(Issued { secret, held })
}
