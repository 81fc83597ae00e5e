//! Does this token work now, and for whom.
//!
//! Facts and judgement are apart: [`super::checker`] finds out what is known of a token, from memory or by a read;
//! [`judge`] decides from it what is true at `now`, on every request.

use std::time::Duration;

use entity::{State, Timestamp, TokenDigest};
use subtle::{Choice, ConstantTimeEq};

use super::{
    Held, HeldRef, Kind,
    secret::{self, Presented},
    usage,
};
use crate::{
    app::App,
    error::{Error, Refusal},
};

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

/// A token that works, and what was presented of it.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The token.
    pub held: HeldRef,
    /// The digest of what was presented.
    pub digest: TokenDigest,
}

impl Checked {
    /// The end of what was presented, unless it is used or renewed before: a rotation may have replaced the secret.
    pub fn expires_at(&self) -> Timestamp {
        let end = self.held.expires_at();
        // Hardly any token has two secrets, and comparing them again is a good part of a check.
        if self.held.previous().is_none() {
            return end;
        }
        match possession(&self.held, &self.digest) {
            Possession::Previous(secret_end) => end.min(secret_end),
            Possession::Current | Possession::None => end,
        }
    }
}

/// Checks a token as it came in, and notes its use.
pub async fn check(app: &App, text: &str, now: Timestamp) -> Result<Checked, Failure> {
    let presented = parse(app, text, now).ok_or(Refusal::Unknown)?;
    let held = app.checker.find(app, &presented, now).await?;
    usage::note(app, &held, now);
    Ok(Checked { held, digest: presented.digest })
}

/// Reads what a token says of itself, with the configured prefixes.
pub fn parse(app: &App, text: &str, now: Timestamp) -> Option<Presented> {
    let tokens = &app.config.tokens;
    let prefixes = std::iter::once(&tokens.prefix).chain(&tokens.previous_prefixes).map(String::as_str);
    secret::parse(text, prefixes, now)
}

/// Decides whether the holder of `digest` may use this token at `now`.
pub fn judge(held: &Held, digest: &TokenDigest, now: Timestamp, precision: Duration) -> Result<(), Refusal> {
    let lapsed = match possession(held, digest) {
        Possession::Current => false,
        Possession::Previous(end) => now >= end,
        Possession::None => return Err(Refusal::Unknown),
    };
    match held.life().state(now, precision) {
        State::Revoked => Err(Refusal::Revoked),
        State::Expired => Err(Refusal::Expired),
        State::Active if lapsed => Err(Refusal::Expired),
        State::Active if held.kind() == Kind::Refresh => Err(Refusal::Refresh),
        State::Active => Ok(()),
    }
}

/// Whether `digest` is that of a secret of this token that may be used at `now`.
pub fn possesses(held: &Held, digest: &TokenDigest, now: Timestamp) -> bool {
    match possession(held, digest) {
        Possession::Current => true,
        Possession::Previous(end) => now < end,
        Possession::None => false,
    }
}

/// Which secret of a token somebody holds.
#[derive(PartialEq, Eq)]
enum Possession {
    /// The present one.
    Current,
    /// The one that a rotation replaced, until then.
    Previous(Timestamp),
    /// Neither.
    None,
}

fn possession(held: &Held, digest: &TokenDigest) -> Possession {
    let current = equal(digest, held.digest());
    match held.previous() {
        Some((previous, end)) if bool::from(equal(digest, previous) & !current) => Possession::Previous(*end),
        _ if bool::from(current) => Possession::Current,
        Some(_) | None => Possession::None,
    }
}

/// In constant time: how much of a guess was right must not be measurable. Word by word, which takes an eighth of the
/// steps that it takes byte by byte.
pub(crate) fn equal(a: &TokenDigest, b: &TokenDigest) -> Choice {
    a.words().ct_eq(&b.words())
}
