//! The `refresh_token` table: which refresh tokens come from which, so that one that is used twice is recognised.

use sea_orm::entity::prelude::*;

use crate::{DigestAlgorithm, Timestamp, TokenDigest};

/// A refresh token that was issued, spent or not.
///
/// Its row in the `token` table says whether it works, and goes with the purge like any other. This one stays until the end
/// of its family: a copy that turns up when the token is long gone must still be known for one (RFC 9700 §4.14.2).
///
/// A family is what one login, or one grant, led to: each refresh token is traded for the next. Whoever changes it locks the
/// row of its first token.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "refresh_token")]
pub struct Model {
    /// The id of the token.
    #[sea_orm(primary_key, auto_increment = false)]
    pub token_id: Uuid,
    /// The id of the first refresh token of its family.
    pub family_id: Uuid,
    /// Whose it is.
    pub user_id: Uuid,
    /// The client it is bound to, if it is to one.
    pub client_id: Option<String>,
    /// How the digest was made.
    pub digest_algorithm: DigestAlgorithm,
    /// The digest of the token.
    pub digest: TokenDigest,
    /// The access token that was issued beside it.
    pub access_token_id: Uuid,
    /// The refresh token that it was traded for.
    pub successor_id: Option<Uuid>,
    /// When it was traded, or made useless because its predecessor was traded again.
    pub spent_at: Option<Timestamp>,
    /// When its family ends, which no trade puts off; exclusive.
    pub expires_at: Timestamp,
}

impl ActiveModelBehavior for ActiveModel {}
