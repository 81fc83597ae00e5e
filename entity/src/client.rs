//! The `client` table.

use sea_orm::entity::prelude::*;

use crate::{DigestAlgorithm, Grants, Scopes, Timestamp, TokenDigest};

/// An OAuth client: a program with a secret of its own (RFC 6749 §2).
///
/// The secret is 256 random bits that no person chose, so it is hashed like a token, by SHA-256, and not like a password: a
/// slow hash makes guessing dear, and nobody guesses one of 2²⁵⁶; it would only make every request of a client dear.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "client")]
pub struct Model {
    /// The client id: a `UUIDv7` in base62, so that ids sort, byte by byte, in the order of their making.
    #[sea_orm(primary_key, auto_increment = false)]
    pub client_id: String,
    /// What people call it; not unique.
    pub name: String,
    /// How both digests were made.
    pub digest_algorithm: DigestAlgorithm,
    /// The digest of the current secret.
    pub digest: TokenDigest,
    /// The digest that a rotation replaced, while its overlap lasts.
    pub previous_digest: Option<TokenDigest>,
    /// When the replaced secret stops working; exclusive.
    pub previous_expires_at: Option<Timestamp>,
    /// What tokens that are issued to it may hold.
    pub scopes: Scopes,
    /// What it may trade for tokens.
    pub grants: Grants,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it is refused.
    pub disabled_at: Option<Timestamp>,
    /// Since when it is gone; the row goes with the purge.
    pub deleted_at: Option<Timestamp>,
    /// When any of this changed.
    pub changed_at: Timestamp,
}

impl ActiveModelBehavior for ActiveModel {}
