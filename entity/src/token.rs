//! The `token` table.

use sea_orm::entity::prelude::*;

use crate::{DigestAlgorithm, Scopes, Timestamp, TokenDigest};

/// What a token was issued for; the letter is the one it carries on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(1))")]
pub enum Kind {
    /// From a login.
    #[sea_orm(string_value = "s")]
    Session,
    /// Named, made on purpose.
    #[sea_orm(string_value = "k")]
    Api,
    /// From client credentials.
    #[sea_orm(string_value = "c")]
    Client,
    /// Yields other tokens, and nothing else.
    #[sea_orm(string_value = "r")]
    Refresh,
}

impl Kind {
    /// Its name, as people and JSON have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Api => "api",
            Self::Client => "client",
            Self::Refresh => "refresh",
        }
    }
}

/// One token. Of the token itself only digests are here.
///
/// The key is the token's public id, a `UUIDv7`: rows lie in the order of their making, and a check finds its row by the
/// id that travels inside the token, so there is no index on a random digest (the index that makes purging slow).
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "token")]
pub struct Model {
    /// The token id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// What it was issued for.
    pub kind: Kind,
    /// How both digests were made.
    pub digest_algorithm: DigestAlgorithm,
    /// The digest of the current secret's token.
    pub digest: TokenDigest,
    /// The digest that a rotation replaced, while its overlap lasts.
    pub previous_digest: Option<TokenDigest>,
    /// When the replaced secret stops working; exclusive.
    pub previous_expires_at: Option<Timestamp>,
    /// The last four characters, for people to tell tokens apart.
    pub hint: String,
    /// What its owner calls it.
    pub name: Option<String>,
    /// Whose it is; none for a client's own.
    pub user_id: Option<Uuid>,
    /// The client it was issued to, if any.
    pub client_id: Option<String>,
    /// What it may do.
    pub scopes: Scopes,
    /// Seconds of life it was issued with; what a renewal adds unless told otherwise.
    pub ttl: i64,
    /// Seconds it may go unused, if it slides.
    pub idle_timeout: Option<i64>,
    /// When it was issued.
    pub created_at: Timestamp,
    /// When it stops working, the idle timeout included; exclusive.
    pub expires_at: Timestamp,
    /// The end that its ttl or the last renewal set; exclusive. Sliding never goes beyond it.
    pub ttl_expires_at: Timestamp,
    /// The end that no renewal goes beyond.
    pub max_expires_at: Timestamp,
    /// Its last recorded use.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When anything but its use last changed: what other replicas look for, and the purge leaves alone for a while.
    pub changed_at: Timestamp,
}

impl ActiveModelBehavior for ActiveModel {}
