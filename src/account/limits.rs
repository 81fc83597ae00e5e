//! Limits on attempts, counted in the database so that replicas and every door share them.
//!
//! An attempt is counted before the password is hashed, and for names that do not exist as for those that do: fifty
//! guesses at once count as fifty, and being throttled tells nothing about a name.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use entity::{Timestamp, attempt, audit_event::Event};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, sea_query::OnConflict,
};
use sha2::{Digest, Sha256};
use tokio::sync::OwnedMutexGuard;

use super::{known, users::Username};
use crate::{
    app::App,
    audit::{Actor, Origin, failures::Attempt},
    error::{Error, Policy},
    write::write,
};

const MINUTE: Duration = Duration::from_mins(1);

/// When a window of counting ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Window {
    /// So long after its first attempt.
    Fixed,
    /// So long after its last one.
    Sliding,
}

/// Counts an attempt to log in from an address and refuses it beyond `limits.login_per_minute_per_ip`.
pub async fn login_from(app: &Arc<App>, from: &Origin, now: Timestamp) -> Result<(), Error> {
    let Some(address) = from.address else { return Ok(()) };
    let policy = Policy { name: "login-address", quota: app.config.limits.login_per_minute_per_ip, window: MINUTE };
    let counted = count(app, format!("login-address:{}", network(address)), policy, Window::Fixed, now).await;
    if matches!(counted, Err(Error::Throttled { .. })) {
        note(app, Event::LockedOut, None, "address", from);
    }
    counted
}

/// Counts a request to revoke by possession from an address, with the same limit.
pub async fn revocation_from(app: &Arc<App>, from: &Origin, now: Timestamp) -> Result<(), Error> {
    let Some(address) = from.address else { return Ok(()) };
    let policy = Policy { name: "revoke-address", quota: app.config.limits.login_per_minute_per_ip, window: MINUTE };
    count(app, format!("revoke-address:{}", network(address)), policy, Window::Fixed, now).await
}

/// What is counted as one address: an IPv6 host has all of the last 64 bits to choose from.
pub fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let network = Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX));
            format!("{network}/64")
        }
    }
}

/// An attempt on an account that has been counted. It is in its turn until this is dropped.
#[derive(Debug)]
pub struct Counted {
    subject: Option<String>,
    /// Until when the address it came from counts as the user's own, if it does.
    pub known_until: Option<Timestamp>,
    _turn: Option<OwnedMutexGuard<()>>,
}

/// Counts an attempt on an account in its turn. Refuses it when `limits.login_failures_before_lock` came before it without a
/// success. Counting begins anew when nothing was tried for `limits.lock_for`.
///
/// Strangers are counted together, and an address from which the user logged in lately by itself: who guesses locks others
/// who guess out, and not the user where they always are.
pub async fn login_as(app: &Arc<App>, name: &Username, from: &Origin, now: Timestamp) -> Result<Counted, Error> {
    let limits = &app.config.limits;
    let (canonical, quota) = (name.canonical(), limits.login_failures_before_lock);
    if quota == 0 {
        return Ok(Counted { subject: None, known_until: None, _turn: None });
    }
    let address = from.address.map(network).unwrap_or_default();
    let known_until = known::until(app, &canonical, &address, now).await?;
    let subject = match known_until {
        Some(_) => format!("login-known:{}:{address}", digest(&canonical)),
        None => name_subject(&canonical),
    };
    let turn = app.turns.of(&subject).await?;
    let policy = Policy { name: "login-account", quota, window: limits.lock_for };
    let counted = count(app, subject.clone(), policy, Window::Sliding, now).await;
    if matches!(counted, Err(Error::Throttled { .. })) {
        note(app, Event::LockedOut, Some(canonical), "account", from);
    }
    counted.map(|()| Counted { subject: Some(subject), known_until, _turn: Some(turn) })
}

impl Counted {
    /// Forgets what was counted: the password was right.
    pub async fn forget(&self, db: &impl ConnectionTrait) -> Result<(), DbErr> {
        forget_subject(db, self.subject.as_deref()).await
    }

    /// What [`Counted::forget`] forgets, for where this cannot go.
    pub(super) fn subject(&self) -> Option<String> {
        self.subject.clone()
    }
}

/// Forgets what was counted under this name, if anything was.
pub(super) async fn forget_subject(db: &impl ConnectionTrait, subject: Option<&str>) -> Result<(), DbErr> {
    match subject {
        Some(subject) => attempt::Entity::delete_by_id(subject).exec(db).await.map(drop),
        None => Ok(()),
    }
}

/// Notes an attempt that failed, for the audit trail.
pub(super) fn note(app: &App, event: Event, name: Option<String>, reason: &'static str, from: &Origin) {
    app.failures.note(Attempt { event, name, address: from.address, reason }, from);
}

/// Forgets what was counted against an account, from wherever it came.
pub async fn forget(db: &impl ConnectionTrait, canonical_name: &str) -> Result<(), DbErr> {
    forget_subject(db, Some(&name_subject(canonical_name))).await
}

fn name_subject(canonical_name: &str) -> String {
    format!("login-name:{}", digest(canonical_name))
}

/// What stands for a name in a counter, for what was typed may be nobody's name, but a password in its place.
fn digest(canonical_name: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(canonical_name.as_bytes()))
}

/// Counts one attempt, unless as many as the policy allows have been counted in this window already; a quota of 0 is none.
async fn count(app: &Arc<App>, subject: String, policy: Policy, window: Window, now: Timestamp) -> Result<(), Error> {
    if policy.quota == 0 {
        return Ok(());
    }
    let end = now.plus_seconds(i64::try_from(policy.window.as_secs()).unwrap_or(i64::MAX));
    write(app, &Actor::system(), move |write| {
        Box::pin(async move {
            let row = locked(write.txn(), &subject, now).await?;
            let next = if row.expires_at <= now {
                attempt::Model { count: 1, expires_at: end, ..row }
            } else if row.count < i64::from(policy.quota) {
                let expires_at = if window == Window::Sliding { end } else { row.expires_at };
                attempt::Model { count: row.count + 1, expires_at, ..row }
            } else {
                let wait = u64::try_from(row.expires_at.millis_since(now)).unwrap_or(0);
                return Err(Error::Throttled { retry_after: Duration::from_millis(wait), policy });
            };
            attempt::Entity::update(next.into_active_model().reset_all()).exec_without_returning(write.txn()).await?;
            Ok(())
        })
    })
    .await
}

/// The counter's row, made if it is not there. Writing it, even unchanged, locks it: attempts made at the same moment
/// queue here and are counted one by one.
async fn locked(txn: &impl ConnectionTrait, subject: &str, now: Timestamp) -> Result<attempt::Model, DbErr> {
    let fresh = attempt::ActiveModel { subject: Set(subject.to_owned()), count: Set(0), expires_at: Set(now) };
    let unchanged = OnConflict::column(attempt::Column::Subject).update_column(attempt::Column::Subject).to_owned();
    attempt::Entity::insert(fresh).on_conflict(unchanged).exec_without_returning(txn).await?;
    let row = attempt::Entity::find_by_id(subject).one(txn).await?;
    row.ok_or_else(|| DbErr::RecordNotFound("a counter that was just written".to_owned()))
}
