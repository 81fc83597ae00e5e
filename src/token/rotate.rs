//! Giving a token a new secret.

use std::sync::Arc;

use entity::{Scopes, TokenDigest, audit_event::Event, token};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, sea_query::Expr};
use uuid::Uuid;

use super::{find, issue::Issued, lock, must_be_within, must_work, secret::TokenSecret};
use crate::{
    app::App,
    audit::{Actor, Done},
    error::Error,
    write::write,
};

/// The longest overlap, in seconds: a week.
pub const LONGEST_OVERLAP: i64 = 7 * 24 * 60 * 60;

/// Who rotates.
#[derive(Debug)]
pub struct Rotator {
    /// What they may do: no less than the token.
    pub powers: Scopes,
    /// Who they are.
    pub actor: Actor,
    /// What they presented, if it is a secret of this very token: then it must still be one when it is replaced.
    pub digest: Option<TokenDigest>,
}

/// Replaces the secret of a working token; id, policy and scopes stay.
///
/// For `overlap` seconds the old secret works too. At most two do: rotating again ends an overlap that still runs.
pub async fn rotate(app: &Arc<App>, id: Uuid, by: Rotator, overlap: i64) -> Result<Issued, Error> {
    checked_overlap(overlap)?;
    let shared = Arc::clone(app);
    let actor = by.actor.clone();
    write(app, &actor, move |write| {
        Box::pin(async move {
            let (row, now) = lock(&shared, write, id).await?;
            must_be_within(&row, &by.powers)?;
            must_work(&shared, &row, now)?;
            let overlapping = row.previous_digest.filter(|_| row.previous_expires_at.is_some_and(|end| now < end));
            if by.digest.is_some_and(|digest| digest != row.digest && Some(digest) != overlapping) {
                return Err(Error::Conflict("the token was rotated meanwhile".to_owned()));
            }
            let secret = TokenSecret::generate(&shared.config.tokens.prefix, row.kind, id)?;
            let kept = (overlap > 0).then_some(row.digest);
            token::Entity::update_many()
                .col_expr(token::Column::Digest, Expr::value(secret.digest()))
                .col_expr(token::Column::Hint, Expr::value(secret.hint()))
                .col_expr(token::Column::PreviousDigest, Expr::value(kept))
                .col_expr(token::Column::PreviousExpiresAt, Expr::value(kept.map(|_| now.plus_seconds(overlap))))
                .col_expr(token::Column::ChangedAt, Expr::value(now))
                .filter(token::Column::Id.eq(id))
                .exec(write.txn())
                .await?;
            write.changed([id]);
            let rotated = Done::new(Event::TokenRotated).token(id).user(row.user_id);
            write.record(rotated.client(row.client_id.as_deref()));
            let held = find(write.txn(), id).await?.ok_or(Error::NotFound("token"))?;
            Ok(Issued { secret, held })
        })
    })
    .await
}

/// Refuses an overlap that is too long, or none.
pub(crate) fn checked_overlap(overlap: i64) -> Result<(), Error> {
    if (0..=LONGEST_OVERLAP).contains(&overlap) {
        Ok(())
    } else {
        Err(Error::invalid("overlap", format!("must be 0 to {LONGEST_OVERLAP} seconds")))
    }
}
