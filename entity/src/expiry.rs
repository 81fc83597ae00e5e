//! When a token works: the one rule, as Rust and as SQL.
//!
//! A token works while `now < expires_at`: the instant itself is already too late (RFC 7519 §4.1.4 says "on or after").
//!
//! A sliding token's use is written behind, so its row may lag behind its last use by up to the *allowance*:
//! `min(last_used_precision, idle_timeout / 4)`. Whoever reads the row grants that much, and never beyond the end that
//! the ttl set, which is exact. Everything that asks "does it work" asks here; the purge decides nothing.

use std::time::Duration;

use sea_orm::{
    ColumnTrait, Condition,
    sea_query::{CaseStatement, Expr, SimpleExpr},
};

use crate::{
    Timestamp,
    token::{Column, Model},
};

/// What a token is at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It works.
    Active,
    /// Its time is over.
    Expired,
    /// Somebody ended it; this outranks expiry.
    Revoked,
}

impl State {
    /// Its name, as people and JSON have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// What the rule looks at: when a token ends, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// When it stops working, the idle timeout included, as far as is recorded; exclusive.
    pub expires_at: Timestamp,
    /// The end that its ttl or the last renewal set; exclusive.
    pub ttl_expires_at: Timestamp,
    /// Seconds it may go unused, if it slides.
    pub idle_timeout: Option<i64>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl Life {
    /// What the token is at `now`, its use being recorded to within `precision`.
    pub fn state(&self, now: Timestamp, precision: Duration) -> State {
        if self.revoked_at.is_some() {
            State::Revoked
        } else if now < self.works_until(precision) {
            State::Active
        } else {
            State::Expired
        }
    }

    /// The first instant at which it no longer works, unless it is used or renewed before.
    pub fn works_until(&self, precision: Duration) -> Timestamp {
        let allowance = self.idle_timeout.map_or(0, |idle| allowance(idle, precision));
        Timestamp::from_millis(self.expires_at.millis() + allowance).min(self.ttl_expires_at)
    }

    /// Where a use at `now` moves the end of a sliding token; never back.
    pub fn slid_to(&self, now: Timestamp) -> Timestamp {
        let slid =
            self.idle_timeout.map_or(self.ttl_expires_at, |idle| now.plus_seconds(idle).min(self.ttl_expires_at));
        slid.max(self.expires_at)
    }
}

impl Model {
    /// When this token ends, and why.
    pub fn life(&self) -> Life {
        Life {
            expires_at: self.expires_at,
            ttl_expires_at: self.ttl_expires_at,
            idle_timeout: self.idle_timeout,
            revoked_at: self.revoked_at,
        }
    }
}

/// How far a row may lag behind its use, in milliseconds: `min(precision, idle_timeout / 4)`.
pub fn allowance(idle_timeout_seconds: i64, precision: Duration) -> i64 {
    (idle_timeout_seconds * 250).min(millis(precision))
}

/// Tokens that are [`State::Active`] at `now`.
pub fn active(now: Timestamp, precision: Duration) -> Condition {
    Condition::all().add(Column::RevokedAt.is_null()).add(unexpired(now, precision))
}

/// Tokens that are [`State::Expired`] at `now`.
pub fn expired(now: Timestamp, precision: Duration) -> Condition {
    Condition::all().add(Column::RevokedAt.is_null()).add(unexpired(now, precision).not())
}

/// Tokens that are [`State::Revoked`].
pub fn revoked() -> Condition {
    Condition::all().add(Column::RevokedAt.is_not_null())
}

/// Tokens whose time was over before `cutoff`. What it adds is implied, and lets an index find them.
pub fn expired_before(cutoff: Timestamp, precision: Duration) -> Condition {
    was_expired_before(cutoff, precision).add(Column::ExpiresAt.lt(cutoff))
}

/// The same for rows that are found by something else.
pub fn was_expired_before(cutoff: Timestamp, precision: Duration) -> Condition {
    let last_instant_before = Timestamp::from_millis(cutoff.millis() - 1);
    expired(last_instant_before, precision)
}

/// Tokens that were revoked before `cutoff`.
pub fn revoked_before(cutoff: Timestamp) -> Condition {
    Condition::all().add(Column::RevokedAt.lt(cutoff))
}

fn unexpired(now: Timestamp, precision: Duration) -> Condition {
    use sea_orm::ExprTrait;

    let sliding = Condition::all().add(Column::IdleTimeout.is_not_null()).add(Column::TtlExpiresAt.gt(now)).add(
        ExprTrait::add(Expr::col(Column::ExpiresAt.as_column_ref()), allowance_of_row(precision)).gt(now.millis()),
    );
    Condition::any().add(Column::ExpiresAt.gt(now)).add(sliding)
}

fn allowance_of_row(precision: Duration) -> SimpleExpr {
    use sea_orm::ExprTrait;

    let quarter = ExprTrait::mul(Expr::col(Column::IdleTimeout.as_column_ref()), 250_i64);
    let precision = millis(precision);
    CaseStatement::new().case(quarter.clone().lt(precision), quarter).finally(precision).into()
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
