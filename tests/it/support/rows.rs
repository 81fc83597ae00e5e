//! Tokens as rows, of which more are needed than the service would issue in a test's time.

use std::time::Duration;

use entity::{DigestAlgorithm, Scopes, Timestamp, TokenDigest, token};
use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, IntoActiveModel};

const DAY: i64 = 86_400_000;

/// Puts so many tokens into the database that are stale by now, spread over the month before yesterday, and so many that end
/// within the coming week.
pub async fn fill(db: &impl ConnectionTrait, now: Timestamp, stale: i64, live: i64) {
    let now = now.millis();
    let ends = (0..stale).map(|at| now - 2 * DAY - at * 30 * DAY / stale);
    let ends = ends.chain((0..live).map(|at| now + 1 + at * 7 * DAY / live));
    insert(db, ends.map(Timestamp::from_millis)).await;
}

/// Puts tokens into the database that end then.
pub async fn insert(db: &impl ConnectionTrait, ends: impl Iterator<Item = Timestamp>) {
    insert_rows(db, ends.map(a_token)).await;
}

/// Puts these into the database.
pub async fn insert_rows(db: &impl ConnectionTrait, rows: impl Iterator<Item = token::Model>) {
    let rows: Vec<_> = rows.map(|row| row.into_active_model().reset_all()).collect();
    for rows in rows.chunks(500) {
        token::Entity::insert_many(rows.to_vec()).exec_without_returning(db).await.unwrap();
    }
}

/// A token that ends then; nobody knows its secret.
pub fn a_token(end: Timestamp) -> token::Model {
    let created = end.minus(Duration::from_hours(24));
    token::Model {
        id: daypass::id::new(created),
        kind: token::Kind::Api,
        digest_algorithm: DigestAlgorithm::Sha256,
        digest: TokenDigest::new([0; 32]),
        previous_digest: None,
        previous_expires_at: None,
        hint: "none".to_owned(),
        name: None,
        user_id: Some(daypass::id::new(created)),
        client_id: None,
        scopes: Scopes::default(),
        ttl: 86_400,
        idle_timeout: None,
        created_at: created,
        expires_at: end,
        ttl_expires_at: end,
        max_expires_at: end,
        last_used_at: None,
        revoked_at: None,
        changed_at: created,
    }
}
