//! What is stale, and why.
//!
//! Stale is what expired or was revoked longer ago than its retention. Never stale: what could still authenticate (the
//! predicate is [`entity::expiry`]'s), and what changed within [`SETTLED`], whatever the retention: other replicas must
//! have seen the change before the row is gone.

use std::time::Duration;

use entity::{Timestamp, expiry, token};
use sea_orm::{ColumnTrait, Condition, sea_query::SimpleExpr};

use super::task::Counter;
use crate::{app::App, db::Engine, token::precision};

/// How long a row that changed is left alone.
pub const SETTLED: Duration = Duration::from_mins(1);

/// What makes a row go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It expired longer ago than `maintenance.retain_expired`.
    Expired,
    /// It was revoked longer ago than `maintenance.retain_revoked`.
    Revoked,
}

impl Reason {
    /// All of them, in the order they are purged in.
    pub const ALL: [Self; 2] = [Self::Expired, Self::Revoked];

    /// Which rows are stale for this reason at `now`.
    pub fn stale(self, app: &App, now: Timestamp) -> Condition {
        let cutoff = self.cutoff(app, now);
        let stale = match self {
            Self::Expired => expiry::expired_before(cutoff, precision(app)),
            Self::Revoked => expiry::revoked_before(cutoff),
        };
        stale.add(settled(now))
    }

    /// Which rows are stale for any reason, among rows that are found by something else: no index answers it.
    pub fn any(app: &App, now: Timestamp) -> Condition {
        let [expired, revoked] = Self::ALL.map(|reason| reason.cutoff(app, now));
        let ended = Condition::any()
            .add(expiry::was_expired_before(expired, precision(app)))
            .add(expiry::revoked_before(revoked));
        Condition::all().add(ended).add(settled(now))
    }

    /// Before which instant they ended.
    pub fn cutoff(self, app: &App, now: Timestamp) -> Timestamp {
        let settings = &app.config.maintenance;
        match self {
            // By another replica's clock it may work for a moment longer.
            Self::Expired => now.minus(settings.retain_expired.max(SETTLED)),
            Self::Revoked => now.minus(settings.retain_revoked.max(SETTLED)),
        }
    }

    /// Which counter of a run tells of them.
    pub(super) fn counter(self) -> Counter {
        match self {
            Self::Expired => |run| &mut run.deleted_expired,
            Self::Revoked => |run| &mut run.deleted_revoked,
        }
    }

    /// The column that tells when they ended.
    pub fn column(self) -> token::Column {
        match self {
            Self::Expired => token::Column::ExpiresAt,
            Self::Revoked => token::Column::RevokedAt,
        }
    }

    /// Whether there is no index of that column, but of the hour, see [`super::hours`].
    pub fn by_hour(self, engine: Engine) -> bool {
        engine == Engine::Sqlite && self == Self::Expired
    }
}

fn settled(now: Timestamp) -> SimpleExpr {
    token::Column::ChangedAt.lt(now.minus(SETTLED))
}
