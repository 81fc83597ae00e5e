//! Does this token work now, and for whom.
//!
//! Facts and judgement are apart: `facts` reads what the row says, [`judge`] decides from it what is true at `now`,
//! on every request. A cache can stand in for the first, never for the second.

use entity::{DigestAlgorithm, State, Timestamp, TokenDigest};
use sea_orm::DbErr;
use subtle::{Choice, ConstantTimeEq};

use super::{
    Held, Kind, precision,
    secret::{self, Presented},
    usage,
};
use crate::{app::App, error::Error};

/// Why a token does not work.
///
/// Only [`Refusal::Expired`], [`Refusal::Revoked`] and [`Refusal::Refresh`] say something of a token that exists, and
/// they are given only to whom holds it: its digest matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is malformed, or there is none such.
    #[error("the token is malformed or unknown")]
    Unknown,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// It was ended.
    #[error("the token has been revoked")]
    Revoked,
    /// It is a refresh token, which buys new tokens and opens nothing itself.
    #[error("a refresh token is not accepted here")]
    Refresh,
}

/// Why a check has no good answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The token does not work.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It could not be found out.
    #[error(transparent)]
    Unanswered(#[from] Error),
}

impl From<DbErr> for Failure {
    fn from(error: DbErr) -> Self {
        Self::Unanswered(error.into())
    }
}

/// Checks a token as it came in, and notes its use.
pub async fn check(app: &App, text: &str, now: Timestamp) -> Result<Held, Failure> {
    let presented = parse(app, text, now).ok_or(Refusal::Unknown)?;
    let mut held = facts(app, &presented).await?.ok_or(Refusal::Unknown)?;
    judge(&held, &presented.digest, now, precision(app))?;
    usage::record(app, &mut held.token, now).await;
    Ok(held)
}

/// Reads what a token says of itself, with the configured prefixes.
pub fn parse(app: &App, text: &str, now: Timestamp) -> Option<Presented> {
    let tokens = &app.config.tokens;
    let prefixes = std::iter::once(&tokens.prefix).chain(&tokens.previous_prefixes).map(String::as_str);
    secret::parse(text, prefixes, now)
}

/// What is known of the token that was presented. This is where a cache belongs.
async fn facts(app: &App, presented: &Presented) -> Result<Option<Held>, DbErr> {
    super::find(app.db.reader(), presented.id).await
}

/// Decides whether the holder of `digest` may use this token at `now`.
pub fn judge(held: &Held, digest: &TokenDigest, now: Timestamp, precision: std::time::Duration) -> Result<(), Refusal> {
    let possession = possession(held, digest, now)?;
    match held.token.state(now, precision) {
        State::Revoked => Err(Refusal::Revoked),
        State::Expired => Err(Refusal::Expired),
        State::Active if possession == Possession::Lapsed => Err(Refusal::Expired),
        State::Active if held.token.kind == Kind::Refresh => Err(Refusal::Refresh),
        State::Active => Ok(()),
    }
}

/// Whether `digest` is that of the token's present secret, or of the one a rotation replaced.
pub fn possesses(held: &Held, digest: &TokenDigest, now: Timestamp) -> bool {
    possession(held, digest, now).is_ok()
}

#[derive(PartialEq, Eq)]
enum Possession {
    /// The secret may be used.
    Current,
    /// It is real, but the overlap after its rotation is over.
    Lapsed,
}

fn possession(held: &Held, digest: &TokenDigest, now: Timestamp) -> Result<Possession, Refusal> {
    let token = &held.token;
    match token.digest_algorithm {
        DigestAlgorithm::Sha256 => {}
    }
    let current = equal(digest, &token.digest);
    let previous = token.previous_digest.as_ref().map_or(Choice::from(0), |previous| equal(digest, previous));
    if bool::from(current) {
        Ok(Possession::Current)
    } else if bool::from(previous) {
        let lapsed = token.previous_expires_at.is_none_or(|end| now >= end);
        Ok(if lapsed { Possession::Lapsed } else { Possession::Current })
    } else {
        Err(Refusal::Unknown)
    }
}

/// In constant time: how much of a guess was right must not be measurable.
fn equal(a: &TokenDigest, b: &TokenDigest) -> Choice {
    a.as_bytes().ct_eq(b.as_bytes())
}
