//! Making tokens.

use entity::{DigestAlgorithm, Scopes, Timestamp, expiry, token, user};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};

use super::{Held, Kind, precision, revoke, secret::TokenSecret};
use crate::{
    app::App,
    config::{AtLimit, KindPolicy},
    error::Error,
    id,
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
}

/// A token that was just made: the one thing that holds both its row and its secret.
#[derive(Debug)]
pub struct Issued {
    /// The token itself.
    pub secret: TokenSecret,
    /// What is known of it.
    pub held: Held,
}

/// Makes a token for a user whose row the caller has locked in this transaction.
///
/// `scopes` are final: what may be granted is decided by whoever calls. The limit on a user's tokens is counted here,
/// under the same lock, so that parallel logins cannot pass it together.
pub async fn issue(
    app: &App,
    txn: &impl ConnectionTrait,
    owner: &user::Model,
    kind: Kind,
    wanted: &Wanted,
    scopes: Scopes,
    now: Timestamp,
) -> Result<Issued, Error> {
    let policy = app.config.tokens.of(kind);
    let lifetime = Lifetime::of(policy, wanted)?;
    let name = wanted.name.clone().map(checked_name).transpose()?;
    make_room(app, txn, owner, kind, policy, now).await?;

    let id = id::new(now);
    let secret = TokenSecret::generate(&app.config.tokens.prefix, kind, id)
        .map_err(|error| Error::Internal(format!("the operating system gave no random bytes: {error}")))?;
    let ttl_expires_at = now.plus_seconds(lifetime.ttl);
    let row = token::Model {
        id,
        kind,
        digest_algorithm: DigestAlgorithm::Sha256,
        digest: secret.digest(),
        previous_digest: None,
        previous_expires_at: None,
        hint: secret.hint().to_owned(),
        name,
        user_id: Some(owner.id),
        client_id: None,
        scopes,
        ttl: lifetime.ttl,
        idle_timeout: lifetime.idle_timeout,
        created_at: now,
        expires_at: lifetime.idle_timeout.map_or(ttl_expires_at, |idle| now.plus_seconds(idle).min(ttl_expires_at)),
        ttl_expires_at,
        max_expires_at: now.plus_seconds(lifetime.longest),
        last_used_at: None,
        revoked_at: None,
        changed_at: now,
    };
    insert(txn, row.clone()).await?;
    let held = Held { token: row, username: Some(owner.username.clone()), user_scopes: Some(owner.scopes.clone()) };
    Ok(Issued { secret, held })
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

/// A ttl that the kind allows.
fn checked_ttl(ttl: i64, max_lifetime: i64) -> Result<i64, Error> {
    if (1..=max_lifetime).contains(&ttl) {
        Ok(ttl)
    } else {
        Err(Error::invalid("ttl", format!("must be 1 to {max_lifetime} seconds")))
    }
}

fn checked_name(name: String) -> Result<String, Error> {
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
    txn: &impl ConnectionTrait,
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
        .filter(token::Column::UserId.eq(owner.id))
        .filter(token::Column::Kind.eq(kind))
        .filter(expiry::active(now, precision(app)));
    let active = theirs.clone().count(txn).await?;
    let room = u64::from(limit);
    if active < room {
        return Ok(());
    }
    match policy.at_limit {
        AtLimit::Refuse => Err(Error::TokenLimit { limit }),
        AtLimit::EvictOldest => {
            let oldest = theirs.order_by_asc(token::Column::Id).limit(active - room + 1).all(txn).await?;
            for row in oldest {
                revoke::by_id(txn, row.id, now).await?;
            }
            Ok(())
        }
    }
}

/// Every column is written by name, so that a new one cannot be forgotten.
async fn insert(txn: &impl ConnectionTrait, row: token::Model) -> Result<(), Error> {
    let row = token::ActiveModel {
        id: Set(row.id),
        kind: Set(row.kind),
        digest_algorithm: Set(row.digest_algorithm),
        digest: Set(row.digest),
        previous_digest: Set(row.previous_digest),
        previous_expires_at: Set(row.previous_expires_at),
        hint: Set(row.hint),
        name: Set(row.name),
        user_id: Set(row.user_id),
        client_id: Set(row.client_id),
        scopes: Set(row.scopes),
        ttl: Set(row.ttl),
        idle_timeout: Set(row.idle_timeout),
        created_at: Set(row.created_at),
        expires_at: Set(row.expires_at),
        ttl_expires_at: Set(row.ttl_expires_at),
        max_expires_at: Set(row.max_expires_at),
        last_used_at: Set(row.last_used_at),
        revoked_at: Set(row.revoked_at),
        changed_at: Set(row.changed_at),
    };
    token::Entity::insert(row).exec_without_returning(txn).await?;
    Ok(())
}

fn seconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
