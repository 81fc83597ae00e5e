//! Refresh tokens: issued beside an access token, and traded for the next pair (RFC 6749 §6).
//!
//! Each is good for one trade (RFC 9700 §4.14.2). One that comes a second time was copied: nobody can tell whether the thief
//! or the owner came first, so the whole family ends. But an owner whose first answer was lost comes a second time too, soon
//! and without having used what it never got: within `oauth.refresh_grace`, and while the successor is unused, it gets another
//! pair, and the one that was lost dies.

use std::sync::Arc;

use entity::{Scopes, State, Timestamp, audit_event::Event, refresh_token, token, user};
use sea_orm::EntityTrait;
use uuid::Uuid;

use super::{
    Held, Kind, check, family,
    issue::{self, Issued, Wanted},
    precision,
    revoke::{self, Why},
};
use crate::{
    account::users,
    app::App,
    audit::{Actor, Done, Origin},
    client,
    error::{Error, Refusal},
    write::{Write, write},
};

/// An access token and the refresh token that was made beside it.
#[derive(Debug)]
pub struct Pair {
    /// Opens what the scopes allow.
    pub access: Issued,
    /// Is traded for the next pair.
    pub refresh: Issued,
}

/// Trades a refresh token for a new pair, for the client that asks; none for one that has no credentials.
///
/// The access token gets `wanted`, or all that the refresh token may; the next refresh token always gets that. More is
/// refused, and then nothing is spent. Everything about a refresh token that does not work is [`Error::Refused`], but for one
/// of a client that did not say which it is: [`Error::BadClient`].
pub async fn redeem(
    app: &Arc<App>,
    text: &str,
    client: Option<&str>,
    wanted: Option<Scopes>,
    from: &Origin,
    now: Timestamp,
) -> Result<Pair, Error> {
    let unknown = || Error::Refused(Refusal::Unknown);
    let presented = check::parse(app, text, now).ok_or_else(unknown)?;
    let row = family::find(app.db.reader(), &presented).await?.ok_or_else(unknown)?;
    match (row.client_id.as_deref(), client) {
        (bound, client) if bound == client => {}
        (Some(_), None) => return Err(Error::BadClient),
        (Some(_) | None, _) => return Err(unknown()),
    }
    let by = client.map_or_else(|| Actor::user(row.user_id, from), |client| Actor::client(client, from));
    let by = by.with(row.token_id);
    let (shared, family) = (Arc::clone(app), row.family_id);
    let traded =
        write(app, &by, move |write| Box::pin(async move { trade(&shared, write, row, wanted).await })).await?;
    if traded.is_none() {
        tracing::warn!(%family, "a refresh token was used twice: all that came of its login has ended");
    }
    traded.ok_or_else(unknown)
}

/// None for a copy: then its family has ended.
async fn trade(
    app: &App,
    write: &Write<'_>,
    row: refresh_token::Model,
    wanted: Option<Scopes>,
) -> Result<Option<Pair>, Error> {
    let owner = lock_owner(app, write, row.user_id).await?;
    let client = match &row.client_id {
        Some(client_id) => Some(client::lock_to_issue(write, client_id).await?),
        None => None,
    };
    family::lock(write, row.family_id).await?;
    // All of these may have been waited for.
    let now = app.clock.now();
    let row = reread(write, row.token_id).await?.ok_or(Error::Refused(Refusal::Unknown))?;
    let Some(current) = tradable(app, write, &row, now).await? else {
        let ended = family::end(write, row.family_id, Why::Replayed, now).await?;
        // Whoever has a spent token may send it for ever: what changes nothing is not put on record each time.
        if ended > 0 {
            let replayed = Done::new(Event::RefreshReplayed).token(row.token_id).user(Some(row.user_id));
            write.record(replayed.client(row.client_id.as_deref()));
        }
        return Ok(None);
    };
    let token = working(app, write, current.token_id, now).await?;
    let bound = token.scopes.intersection(&owner.scopes);
    let bound = client.map_or(bound.clone(), |client| bound.intersection(&client.scopes));
    let scopes = match wanted {
        None => bound,
        Some(wanted) if bound.contains_all(&wanted) => wanted,
        Some(wanted) => return Err(Error::InsufficientScope { needed: wanted.to_string() }),
    };
    if !family::spend(write, current.token_id, now).await? {
        return Err(Error::Internal("a refresh token was spent under the lock of its family".to_owned()));
    }
    let is_retry = current.token_id != row.token_id;
    let mut ended = vec![current.token_id];
    // A session that goes on counts once; where nobody counts, requests under way may finish with the old one.
    if is_retry || app.config.tokens.of(Kind::Session).per_user_limit > 0 {
        ended.push(current.access_token_id);
    }
    revoke::alone(write, ended, Why::Refreshed, now).await?;
    // No session outlives the family that it ends with.
    let end = Some(row.expires_at);
    let wanted =
        Wanted { name: token.name, client_id: row.client_id.clone(), max_expires_at: end, ..Wanted::default() };
    let access = issue::issue(app, write, &owner, Kind::Session, &wanted, scopes, now).await?;
    let traded = Done::new(Event::TokenRefreshed).token(access.held.id()).user(Some(owner.id));
    write.record(traded.client(row.client_id.as_deref()));
    let refresh = beside(app, write, &owner, &access.held, token.scopes, Some(&row), now).await?;
    family::succeed(write, row.token_id, refresh.held.id()).await?;
    if is_retry {
        // Of two who traded at once, one holds the pair that has just died: it too may come again.
        family::succeed(write, current.token_id, refresh.held.id()).await?;
    }
    Ok(Some(Pair { access, refresh }))
}

/// Makes the refresh token beside an access token that was just made for a user, whose row the caller has locked: the next of
/// the family that `before` is of, or the first of a new one.
pub async fn beside(
    app: &App,
    write: &Write<'_>,
    owner: &user::Model,
    access: &Held,
    scopes: Scopes,
    before: Option<&refresh_token::Model>,
    now: Timestamp,
) -> Result<Issued, Error> {
    let wanted = Wanted {
        name: access.name().map(str::to_owned),
        client_id: access.client_id().map(str::to_owned),
        max_expires_at: before.map(|before| before.expires_at),
        ..Wanted::default()
    };
    let refresh = issue::issue(app, write, owner, Kind::Refresh, &wanted, scopes, now).await?;
    write.record(issue::issued(&refresh.held));
    family::add(write, &refresh, access, owner.id, before.map(|before| before.family_id)).await?;
    Ok(refresh)
}

/// The user, who may have tokens; whatever ends them all comes before this or after.
async fn lock_owner(app: &App, write: &Write<'_>, user: Uuid) -> Result<user::Model, Error> {
    let session = app.config.tokens.of(Kind::Session).per_user_limit > 0;
    let counted = if session { Kind::Session } else { Kind::Refresh };
    match users::lock_to_issue(app, write, user, counted).await {
        Ok(owner) if owner.disabled_at.is_none() => Ok(owner),
        Ok(_) | Err(Error::NotFound(_)) => Err(Error::Refused(Refusal::Revoked)),
        Err(error) => Err(error),
    }
}

async fn reread(write: &Write<'_>, token: Uuid) -> Result<Option<refresh_token::Model>, Error> {
    Ok(refresh_token::Entity::find_by_id(token).one(write.txn()).await?)
}

/// What is to be spent where this one is presented: itself, or its unused successor if this is a retry. None for a copy.
async fn tradable(
    app: &App,
    write: &Write<'_>,
    row: &refresh_token::Model,
    now: Timestamp,
) -> Result<Option<refresh_token::Model>, Error> {
    let Some(spent_at) = row.spent_at else { return Ok(Some(row.clone())) };
    let grace = i64::try_from(app.config.oauth.refresh_grace.as_millis()).unwrap_or(i64::MAX);
    let Some(successor) = row.successor_id.filter(|_| now.millis_since(spent_at) < grace) else { return Ok(None) };
    Ok(reread(write, successor).await?.filter(|successor| successor.spent_at.is_none()))
}

/// The token of this refresh token, if that works.
async fn working(app: &App, write: &Write<'_>, id: Uuid, now: Timestamp) -> Result<token::Model, Error> {
    let token = token::Entity::find_by_id(id).one(write.txn()).await?;
    let token = token.ok_or(Error::Refused(Refusal::Unknown))?;
    match token.life().state(now, precision(app)) {
        State::Active => Ok(token),
        State::Expired => Err(Error::Refused(Refusal::Expired)),
        State::Revoked => Err(Error::Refused(Refusal::Revoked)),
    }
}
