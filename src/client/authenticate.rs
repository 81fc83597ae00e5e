//! Who is calling, at the OAuth doors (RFC 6749 §2.3).

use entity::{Timestamp, TokenDigest};
use sea_orm::QuerySelect;

use super::{Model, look_up, undeleted};
use crate::{
    app::App,
    error::Error,
    token::{
        check::equal,
        secret::{digest, read_id},
    },
    write::Write,
};

/// The client that these credentials are of.
///
/// An unknown, disabled or deleted client and a wrong secret are one answer ([`Error::BadClient`]) that takes the same time:
/// what was presented is digested and compared twice, whatever was found. The secret that a rotation replaced works until its
/// overlap is over.
pub async fn authenticate(app: &App, client_id: &str, secret: &str, now: Timestamp) -> Result<Model, Error> {
    let presented = digest(secret);
    let found = look_up(app.db.reader(), client_id).await?.filter(|client| client.disabled_at.is_none());
    // No text has this digest that anybody could find.
    let nothing = TokenDigest::new([0; 32]);
    let stored = found.as_ref();
    let current = stored.map_or(nothing, |client| client.digest);
    let previous = stored.and_then(|client| overlapping(client, now)).unwrap_or(nothing);
    let matches = bool::from(equal(&presented, &current) | equal(&presented, &previous));
    found.filter(|_| matches).ok_or(Error::BadClient)
}

/// The client for whom the caller makes a token in this transaction, its row locked where the engine locks rows: whatever
/// disables or deletes it ends the token too, or comes first, and then this refuses. Others may make some at the same time.
pub async fn lock_to_issue(write: &Write<'_>, client_id: &str) -> Result<Model, Error> {
    if read_id(client_id).is_none() {
        return Err(Error::BadClient);
    }
    let client = undeleted(client_id).lock_shared().one(write.txn()).await?;
    client.filter(|client| client.disabled_at.is_none()).ok_or(Error::BadClient)
}

/// The secret that a rotation replaced, while it works.
fn overlapping(client: &Model, now: Timestamp) -> Option<TokenDigest> {
    client.previous_digest.filter(|_| client.previous_expires_at.is_some_and(|end| now < end))
}
