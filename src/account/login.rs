//! Trading a user name and a password for a token. Every door comes through here.

use std::sync::Arc;

use entity::{PasswordHash, Scopes, Timestamp, audit_event::Event, user};

use super::{known, limits, password::Password, users, users::Username};
use crate::{
    app::App,
    audit::{Actor, Done, Origin},
    client,
    error::Error,
    telemetry,
    token::{
        Kind,
        issue::{self, Issued, Wanted},
        refresh,
    },
    write::write,
};

/// Who says they are whom.
#[derive(Debug)]
pub struct Credentials {
    /// The name as it was typed.
    pub username: String,
    /// The password as it was typed.
    pub password: Password,
}

/// What a login yields.
#[derive(Debug)]
pub struct LoggedIn {
    /// The session.
    pub access: Issued,
    /// What buys the next one, where that was asked for.
    pub refresh: Option<Issued>,
}

/// Logs in and makes a `session` token, with a refresh token beside it if that is wanted; for a client if `wanted` names one.
///
/// An unknown name, a wrong password and a disabled user are one answer ([`Error::BadCredentials`]) that takes the same
/// time. The token is made under a lock on the user, and only if nothing ended the user's tokens since the password was
/// looked up: a login does not slip past a password change, a disabling or a "log out everywhere".
pub async fn login(
    app: &Arc<App>,
    from: &Origin,
    credentials: Credentials,
    wanted: Wanted,
    with_refresh: bool,
    now: Timestamp,
) -> Result<LoggedIn, Error> {
    let result = attempt(app, from, credentials, wanted, with_refresh, now).await;
    telemetry::login(&result);
    result
}

async fn attempt(
    app: &Arc<App>,
    from: &Origin,
    credentials: Credentials,
    wanted: Wanted,
    with_refresh: bool,
    now: Timestamp,
) -> Result<LoggedIn, Error> {
    limits::login_from(app, from, now).await?;
    let Ok(name) = Username::parse(&credentials.username) else {
        // No rule allows this name, so nobody has it: that must take as long as a wrong password.
        app.hasher.verify(credentials.password, None).await?;
        limits::note(app, Event::LoginFailed, None, REASON, from);
        return Err(Error::BadCredentials);
    };
    // Its turn lasts until what was counted is forgotten: else the next one would be counted beside it.
    let counted = limits::login_as(app, &name, from, now).await?;
    let (user, rehashed) = match authenticate(app, &name, credentials.password).await {
        Err(Error::BadCredentials) => {
            limits::note(app, Event::LoginFailed, Some(name.canonical()), REASON, from);
            return Err(Error::BadCredentials);
        }
        other => other?,
    };
    // No session outlives the family that it ends with.
    let end = with_refresh.then(|| issue::last_end(app, Kind::Refresh, now));
    let wanted = Wanted { max_expires_at: end, ..wanted };
    let by = Actor::user(user.id, from);
    let shared = Arc::clone(app);
    let (subject, known_until) = (counted.subject(), counted.known_until);
    let address = from.address.map(limits::network);
    let made = write(app, &by, move |write| {
        Box::pin(async move {
            let mut owner = users::lock(write, user.id).await.map_err(deleted_meanwhile)?;
            if owner.epoch != user.epoch {
                return Err(Error::BadCredentials);
            }
            owner.last_login_at = Some(now);
            if let Some(hash) = rehashed {
                owner.password_hash = Some(hash);
            }
            users::save(write.txn(), owner.clone()).await?;
            let client = match &wanted.client_id {
                Some(client_id) => Some(client::lock_to_issue(write, client_id).await?),
                None => None,
            };
            let scopes = granted(&owner, client.as_ref(), wanted.scopes.as_ref())?;
            let access = issue::issue(&shared, write, &owner, Kind::Session, &wanted, scopes.clone(), now).await?;
            let done = Done::new(Event::Login).token(access.held.id()).user(Some(owner.id));
            write.record(done.client(wanted.client_id.as_deref()));
            let refresh = if with_refresh {
                Some(refresh::beside(&shared, write, &owner, &access.held, scopes, None, now).await?)
            } else {
                None
            };
            limits::forget_subject(write.txn(), subject.as_deref()).await?;
            if let Some(address) = address {
                known::note(write.txn(), owner.id, &address, known_until, now).await?;
            }
            Ok(LoggedIn { access, refresh })
        })
    })
    .await;
    if made.is_err() {
        // The password was right, whatever else is wrong.
        counted.forget(app.db.writer()).await?;
    }
    made
}

/// Why a login failed, for the record: which of the two was wrong is told by whether a user is named there.
const REASON: &str = "bad_credentials";

/// The user whose password this is, and the same password hashed anew if the stored hash costs less than configured.
async fn authenticate(
    app: &App,
    name: &Username,
    password: Password,
) -> Result<(user::Model, Option<PasswordHash>), Error> {
    let user = users::find_by_name(app.db.reader(), name.as_str()).await?;
    let able = user.filter(|user| user.disabled_at.is_none());
    let stored = able.as_ref().and_then(|user| user.password_hash.clone());
    let verified = app.hasher.verify(password, stored).await?;
    let user = able.filter(|_| verified.matches).ok_or(Error::BadCredentials)?;
    Ok((user, verified.rehashed))
}

fn deleted_meanwhile(error: Error) -> Error {
    if matches!(error, Error::NotFound(_)) { Error::BadCredentials } else { error }
}

/// All that the user may have, unless fewer are asked for. Through a client, no more than it may have either, and what is
/// Daypass's own only if it is asked for.
fn granted(owner: &user::Model, client: Option<&client::Model>, wanted: Option<&Scopes>) -> Result<Scopes, Error> {
    let bound = client.map_or(owner.scopes.clone(), |client| owner.scopes.intersection(&client.scopes));
    match wanted {
        None if client.is_some() => Ok(bound.without_reserved()),
        None => Ok(bound),
        Some(wanted) if bound.contains_all(wanted) => Ok(wanted.clone()),
        Some(_) => Err(Error::Forbidden("a scope was asked for that this user may not have".to_owned())),
    }
}
