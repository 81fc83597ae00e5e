//! Making tokens.

use std::sync::Arc;

use entity::{DigestAlgorithm, Scopes, State, Timestamp, audit_event::Event, expiry, token, user};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};
use uuid::Uuid;

use super::{
    Held, Kind, at_once, precision, revoke,
    row::{Row, User},
    secret::TokenSecret,
};
use crate::{
    account::users,
    app::App,
    audit::{Actor, Done, Origin},
    client,
    config::{AtLimit, KindPolicy},
    db::dialect,
    error::{Error, Refusal},
    id,
    write::{Write, write},
};

/// The longest name of a token, in characters.
pub const LONGEST_NAME: usize = 200;
/// The shortest idle timeout, in seconds.
pub const SHORTEST_IDLE_TIMEOUT: i64 = 60;

/// What is asked of a new token; what is left out comes from the settings of its kind.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// What its owner calls it.
    pub name: Option<String>,
    /// Seconds it shall live.
    pub ttl: Option<i64>,
    /// Seconds it may go unused.
    pub idle_timeout: Option<i64>,
    /// What it may do.
    pub scopes: Option<Scopes>,
    /// The client that it is issued to.
    pub client_id: Option<String>,
    /// The end that no renewal goes beyond, where that is settled already.
    pub max_expires_at: Option<Timestamp>,
}

/// A token that was just made: the one thing that holds both its row and its secret.
#[derive(Debug)]
pub struct Issued {
    /// The token itself.
    pub secret: TokenSecret,
    /// What is known of it.
    pub held: Held,
}

/// Makes a token of kind `api` for a user; `by` is the token that asks, which must still work when it is granted, and `actor`
/// who presented it.
///
/// Whoever asks for themselves gets at most what the token that asks holds; anybody else, who must be somebody that may,
/// at most what the user may have. Where no scopes are wanted, it is all of that but Daypass's own.
pub async fn api(
    app: &Arc<App>,
    user: Uuid,
    wanted: Wanted,
    by: Option<&Held>,
    actor: &Actor,
    now: Timestamp,
) -> Result<Issued, Error> {
    let own = by.filter(|by| by.user_id() == Some(user));
    let bound = own.map(Held::scopes);
    if let (Some(by), Some(bound)) = (own, &bound)
        && app.config.tokens.of(Kind::Api).per_user_limit == 0
    {
        match at_once::issue(app, by, actor, &wanted, granted(wanted.scopes.as_ref(), bound)?, now).await {
            Ok(Some(issued)) => return Ok(issued),
            // The long way tries again.
            Ok(None) => {}
            Err(Error::Storage(error)) if error.is_conflict() => {}
            Err(error) => return Err(error),
        }
        // It may be remembered with an epoch that is over, and would take the long way each time.
        app.checker.forget(&[by.id()]);
    }
    let (shared, by) = (Arc::clone(app), by.map(Held::id));
    write(app, actor, move |write| {
        Box::pin(async move {
            let owner = match users::lock_to_issue(&shared, write, user, Kind::Api).await {
                Err(Error::NotFound(_)) => None,
                owner => Some(owner?),
            };
            // Whose user was deleted meanwhile is told of their token, not of themselves.
            if let Some(by) = by {
                must_still_work(&shared, write, by).await?;
            }
            let owner = owner.ok_or(Error::NotFound("user"))?;
            if owner.disabled_at.is_some() {
                return Err(Error::Conflict("the user is disabled".to_owned()));
            }
            let scopes = match bound {
                Some(bound) => granted(wanted.scopes.as_ref(), &bound)?,
                None => granted(wanted.scopes.as_ref(), &owner.scopes)
                    .map_err(|_| Error::Forbidden(format!("{} may not have all of these scopes", owner.username)))?,
            };
            let made = issue(&shared, write, &owner, Kind::Api, &wanted, scopes, now).await?;
            write.record(issued(&made.held));
            Ok(made)
        })
    })
    .await
}

/// That a token was made, for the record.
pub(super) fn issued(held: &Held) -> Done {
    let done = Done::new(Event::TokenIssued).token(held.id()).user(held.user_id());
    done.client(held.client_id()).reason(held.kind().name())
}

fn granted(wanted: Option<&Scopes>, bound: &Scopes) -> Result<Scopes, Error> {
    match wanted {
        None => Ok(bound.without_reserved()),
        Some(wanted) if bound.contains_all(wanted) => Ok(wanted.clone()),
        Some(wanted) => Err(Error::InsufficientScope { needed: wanted.to_string() }),
    }
}

/// The presented token was checked before the user was locked; what ended it in between ends its powers too.
async fn must_still_work(app: &App, write: &Write<'_>, id: Uuid) -> Result<(), Error> {
    let row = token::Entity::find_by_id(id).one(write.txn()).await?;
    match row.map(|row| row.life().state(app.clock.now(), precision(app))) {
        Some(State::Active) => Ok(()),
        Some(State::Expired) => Err(Error::Refused(Refusal::Expired)),
        Some(State::Revoked) => Err(Error::Refused(Refusal::Revoked)),
        None => Err(Error::Refused(Refusal::Unknown)),
    }
}

/// Makes a token for a user whose row the caller has locked in this transaction.
///
/// `scopes` are final: what may be granted is decided by whoever calls. The limit on a user's tokens is counted here,
/// under the same lock, so that parallel logins cannot pass it together.
pub async fn issue(
    app: &App,
    write: &Write<'_>,
    owner: &user::Model,
    kind: Kind,
    wanted: &Wanted,
    scopes: Scopes,
    now: Timestamp,
) -> Result<Issued, Error> {
    let (secret, row) = new(app, Some(owner.id), kind, wanted, scopes, now)?;
    make_room(app, write, owner, kind, app.config.tokens.of(kind), now).await?;
    token::Entity::insert(row.clone().into_active_model().reset_all()).exec_without_returning(write.txn()).await?;
    let owner = User { username: owner.username.clone(), grantable: owner.scopes.clone(), epoch: owner.epoch };
    Ok(Issued { secret, held: Row { token: row, user: Some(owner) }.into() })
}

/// Makes a token of kind `client` for a client itself, with what it asks for or all that it may have but Daypass's own.
pub async fn client(
    app: &Arc<App>,
    client_id: &str,
    scopes: Option<Scopes>,
    from: &Origin,
    now: Timestamp,
) -> Result<Issued, Error> {
    let by = Actor::client(client_id, from);
    let (shared, client_id) = (Arc::clone(app), client_id.to_owned());
    write(app, &by, move |write| {
        Box::pin(async move {
            let client = client::lock_to_issue(write, &client_id).await?;
            let scopes = granted(scopes.as_ref(), &client.scopes)?;
            let wanted = Wanted { client_id: Some(client_id), ..Wanted::default() };
            let (secret, row) = new(&shared, None, Kind::Client, &wanted, scopes, now)?;
            token::Entity::insert(row.clone().into_active_model().reset_all())
                .exec_without_returning(write.txn())
                .await?;
            let held = Row { token: row, user: None }.into();
            write.record(issued(&held));
            Ok(Issued { secret, held })
        })
    })
    .await
}

/// A token and its row, which nobody has written yet.
pub(super) fn new(
    app: &App,
    owner: Option<Uuid>,
    kind: Kind,
    wanted: &Wanted,
    scopes: Scopes,
    now: Timestamp,
) -> Result<(TokenSecret, token::Model), Error> {
    let lifetime = Lifetime::of(app.config.tokens.of(kind), wanted)?;
    let name = wanted.name.clone().map(checked_name).transpose()?;
    let id = id::new(now);
    let secret = TokenSecret::generate(&app.config.tokens.prefix, kind, id)?;
    let longest = now.plus_seconds(lifetime.longest);
    let max_expires_at = wanted.max_expires_at.map_or(longest, |end| Ord::min(end, longest));
    let ttl_expires_at = Ord::min(now.plus_seconds(lifetime.ttl), max_expires_at);
    let row = token::Model {
        id,
        kind,
        digest_algorithm: DigestAlgorithm::Sha256,
        digest: secret.digest(),
        previous_digest: None,
        previous_expires_at: None,
        hint: secret.hint().to_owned(),
        name,
        user_id: owner,
        client_id: wanted.client_id.clone(),
        scopes,
        ttl: lifetime.ttl,
        idle_timeout: lifetime.idle_timeout,
        created_at: now,
        expires_at: lifetime
            .idle_timeout
            .map_or(ttl_expires_at, |idle| Ord::min(now.plus_seconds(idle), ttl_expires_at)),
        ttl_expires_at,
        max_expires_at,
        last_used_at: None,
        revoked_at: None,
        changed_at: now,
    };
    Ok((secret, row))
}

/// How long a token shall live, within what its kind allows. All in seconds.
struct Lifetime {
    ttl: i64,
    idle_timeout: Option<i64>,
    longest: i64,
}

impl Lifetime {
    fn of(policy: &KindPolicy, wanted: &Wanted) -> Result<Self, Error> {
        let max_lifetime = seconds(policy.max_lifetime);
        let ttl = match wanted.ttl {
            Some(ttl) => checked_ttl(ttl, max_lifetime)?,
            None => seconds(policy.ttl),
        };
        let idle_timeout = match wanted.idle_timeout {
            Some(idle) if (SHORTEST_IDLE_TIMEOUT..=max_lifetime).contains(&idle) => Some(idle),
            Some(_) => {
                let message = format!("must be {SHORTEST_IDLE_TIMEOUT} to {max_lifetime} seconds");
                return Err(Error::invalid("idle_timeout", message));
            }
            None => policy.idle_timeout.map(seconds),
        };
        Ok(Self { ttl, idle_timeout, longest: max_lifetime })
    }
}

/// The last instant at which a token of this kind may end that is made now.
pub fn last_end(app: &App, kind: Kind, now: Timestamp) -> Timestamp {
    now.plus_seconds(seconds(app.config.tokens.of(kind).max_lifetime))
}

/// A ttl that the kind allows.
fn checked_ttl(ttl: i64, max_lifetime: i64) -> Result<i64, Error> {
    if (1..=max_lifetime).contains(&ttl) {
        Ok(ttl)
    } else {
        Err(Error::invalid("ttl", format!("must be 1 to {max_lifetime} seconds")))
    }
}

/// A name that tokens and clients may have.
pub(crate) fn checked_name(name: String) -> Result<String, Error> {
    let length = name.chars().count();
    if (1..=LONGEST_NAME).contains(&length) && !name.chars().any(char::is_control) {
        Ok(name)
    } else {
        Err(Error::invalid("name", format!("must be 1 to {LONGEST_NAME} characters, none of them a control character")))
    }
}

/// Refuses, or ends the oldest tokens, where the user already has as many of this kind as allowed.
async fn make_room(
    app: &App,
    write: &Write<'_>,
    owner: &user::Model,
    kind: Kind,
    policy: &KindPolicy,
    now: Timestamp,
) -> Result<(), Error> {
    let limit = policy.per_user_limit;
    if limit == 0 {
        return Ok(());
    }
    let theirs = token::Entity::find()
        .filter(dialect::tokens_of(app.db.engine(), owner.id))
        .filter(token::Column::Kind.eq(kind))
        .filter(expiry::active(now, precision(app)));
    let active = theirs.clone().count(write.txn()).await?;
    let room = u64::from(limit);
    if active < room {
        return Ok(());
    }
    match policy.at_limit {
        AtLimit::Refuse => Err(Error::TokenLimit { limit }),
        AtLimit::EvictOldest => {
            let oldest = theirs.select_only().column(token::Column::Id).order_by_asc(token::Column::Id);
            let oldest = oldest.limit(active - room + 1).into_tuple().all(write.txn()).await?;
            Ok(revoke::these(write, oldest, revoke::Why::TokenLimit, now).await?)
        }
    }
}

fn seconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
