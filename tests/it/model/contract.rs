//! What is promised of tokens, as data and pure functions: written from the README and the API's document, not from the code.
//!
//! Instants are Unix milliseconds, durations too. A span of time is given as what is certain: before it begins the one, from its
//! end on the other, and within it the service may do either.

use std::ops::Range;

pub const SECOND: i64 = 1000;
pub const MINUTE: i64 = 60 * SECOND;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;

/// A use is recorded to within this (`check.last_used_precision`).
pub const PRECISION: i64 = MINUTE;
/// What changed or ended within this is never purged.
const SETTLED: i64 = MINUTE;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Session,
    Api,
    Refresh,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Api => "api",
            Self::Refresh => "refresh",
        }
    }
}

/// What the settings allow a kind of token.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    pub ttl: i64,
    pub max_lifetime: i64,
}

impl Policy {
    pub const fn of(kind: Kind) -> Self {
        match kind {
            Kind::Session => Self { ttl: HOUR, max_lifetime: DAY },
            Kind::Api => Self { ttl: 6 * HOUR, max_lifetime: 2 * DAY },
            Kind::Refresh => Self { ttl: 4 * HOUR, max_lifetime: 6 * HOUR },
        }
    }
}

/// Settings that differ from one case to the next.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub retain_expired: i64,
    pub retain_revoked: i64,
    pub refresh_grace: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Active,
    Expired,
    Revoked,
}

impl State {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// A token. Its place among all of the world's names it.
#[derive(Clone, Debug)]
pub struct Token {
    pub kind: Kind,
    pub user: usize,
    /// What came of the same login as a refresh token.
    pub family: Option<usize>,
    pub ttl: i64,
    pub idle_timeout: Option<i64>,
    /// The end that its ttl or a renewal set.
    pub ttl_end: i64,
    /// The end that no renewal goes beyond.
    pub max_end: i64,
    /// When it was made, used, or renewed.
    pub last_use: i64,
    pub revoked_at: Option<i64>,
    /// When the service first said that it had expired.
    pub found_expired: Option<i64>,
    /// The purge took its row.
    pub deleted: bool,
    /// Of a refresh token.
    pub trade: Trade,
}

/// Where a refresh token stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trade {
    pub spent_at: Option<i64>,
    pub successor: Option<usize>,
    /// The session that was made with it.
    pub beside: Option<usize>,
}

impl Token {
    /// One that was just made: its ttl counts from now, no renewal goes beyond its kind's `max_lifetime`, and nothing of a family
    /// beyond the family's end.
    pub fn issued(
        kind: Kind,
        user: usize,
        ttl: Option<i64>,
        idle_timeout: Option<i64>,
        family: Option<(usize, i64)>,
        now: i64,
    ) -> Self {
        let policy = Policy::of(kind);
        let ttl = ttl.unwrap_or(policy.ttl);
        let max_end = family.map_or(i64::MAX, |(_, end)| end).min(now + policy.max_lifetime);
        Self {
            kind,
            user,
            family: family.map(|(family, _)| family),
            ttl,
            idle_timeout,
            ttl_end: max_end.min(now + ttl),
            max_end,
            last_use: now,
            revoked_at: None,
            found_expired: None,
            deleted: false,
            trade: Trade::default(),
        }
    }

    /// README, "A sliding token": how far the record of a use lags behind it, at most; whoever reads it grants as much.
    fn allowance(&self) -> i64 {
        self.idle_timeout.map_or(0, |idle| PRECISION.min(idle / 4))
    }

    /// `expires_at = min(last use + idle_timeout, ttl's or renewal's end, max_expires_at)`, as it may be shown.
    pub fn expires_at(&self) -> Range<i64> {
        let idle_end = self.idle_timeout.map_or(i64::MAX, |idle| self.last_use + idle);
        self.ttl_end.min(idle_end - self.allowance())..self.ttl_end.min(idle_end)
    }

    /// When it stops working by itself.
    pub fn end(&self) -> Range<i64> {
        let earliest = self.expires_at().end;
        let latest = self.ttl_end.min(earliest + self.allowance());
        earliest..self.found_expired.map_or(latest, |found| found.min(latest))
    }

    /// None while it may have expired or not. Its end is exclusive: at `now >= expires_at` it is expired.
    pub fn state(&self, now: i64) -> Option<State> {
        let end = self.end();
        match self.revoked_at {
            Some(_) => Some(State::Revoked),
            None if now < end.start => Some(State::Active),
            None if now >= end.end => Some(State::Expired),
            None => None,
        }
    }

    pub fn is_active(&self, now: i64) -> bool {
        self.state(now) == Some(State::Active)
    }

    /// The API's `renewToken`: `min(now + ttl, max_expires_at)`, never earlier than it was; `ttl` is clamped.
    pub fn renew(&mut self, ttl: Option<i64>, now: i64) {
        self.ttl_end = self.max_end.min(now + ttl.unwrap_or(self.ttl)).max(self.ttl_end);
        self.last_use = now;
    }

    pub fn revoke(&mut self, now: i64) {
        if !self.deleted {
            self.revoked_at.get_or_insert(now);
        }
    }

    /// Whether the purge deletes it; none where it may. README, "Maintenance": what expired or was revoked longer ago than it is
    /// kept, a minute at least. What has been revoked is that, though it had expired before.
    pub fn is_stale(&self, settings: &Settings, now: i64) -> Option<bool> {
        if let Some(revoked_at) = self.revoked_at {
            return Some(now > revoked_at + settings.retain_revoked.max(SETTLED));
        }
        let retention = settings.retain_expired.max(SETTLED);
        let end = self.end();
        let (may, must) = (now > end.start + retention, now > end.end + retention);
        (may == must).then_some(must)
    }
}

/// A secret of a token: that it was issued with, or one that a rotation gave it.
#[derive(Clone, Debug)]
pub struct Secret {
    pub token: usize,
    pub text: String,
    /// When it stops being one: at a rotation, or when the overlap is over.
    pub until: i64,
    /// It has been refused once.
    pub dead: bool,
}

/// What a check answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Works,
    Expired,
    Revoked,
    Unknown,
    /// A refresh token that works, where none is accepted.
    NotHere,
}

/// What a check of this secret may answer. What was replaced or deleted is unknown, or still known for what it was.
pub fn answers(token: &Token, secret: &Secret, now: i64) -> Vec<Answer> {
    let is_over = now >= secret.until;
    let mut answers = match token.state(now) {
        Some(State::Revoked) => vec![Answer::Revoked],
        Some(State::Active) if token.kind == Kind::Refresh => vec![Answer::NotHere],
        Some(State::Active) if !is_over => vec![Answer::Works],
        None if !is_over => vec![Answer::Works, Answer::Expired],
        Some(_) | None => vec![Answer::Expired],
    };
    if is_over || token.deleted {
        answers.push(Answer::Unknown);
    }
    answers
}

/// What one login with a refresh token led to.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// README: it ends `tokens.refresh.max_lifetime` after the login.
    pub end: i64,
    /// Its records are gone: which tokens were of it is not known any more.
    pub forgotten: bool,
}

/// What a trade of a refresh token comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traded {
    Refused,
    /// A copy: it is refused, and its family ends.
    Copy,
    /// A new pair; this one is spent, which is the presented one or, at a retry, its successor.
    Pair {
        spent: usize,
    },
}

/// All that is there.
#[derive(Debug)]
pub struct World {
    pub settings: Settings,
    pub now: i64,
    pub tokens: Vec<Token>,
    pub families: Vec<Family>,
    /// Which users are disabled.
    pub disabled: Vec<bool>,
}

impl World {
    /// The family of a token, if that is on record.
    pub fn family(&self, token: usize) -> Option<usize> {
        self.tokens[token].family.filter(|family| !self.families[*family].forgotten)
    }

    pub fn end_family(&mut self, family: usize) {
        let now = self.now;
        self.tokens.iter_mut().filter(|token| token.family == Some(family)).for_each(|token| token.revoke(now));
    }

    /// README: whichever of its tokens is revoked, a family ends as a whole.
    pub fn revoke(&mut self, token: usize) {
        if let Some(family) = self.family(token) {
            self.end_family(family);
        }
        self.tokens[token].revoke(self.now);
    }

    /// README, "Families end together": refresh tokens end with sessions, and families with their refresh tokens.
    pub fn revoke_all(&mut self, user: usize, kinds: &[Kind]) {
        for at in 0..self.tokens.len() {
            let token = &self.tokens[at];
            let named = kinds.contains(&token.kind) || token.kind == Kind::Refresh && kinds.contains(&Kind::Session);
            if token.user != user || !named || token.deleted || token.revoked_at.is_some() {
                continue;
            }
            if token.kind == Kind::Refresh { self.revoke(at) } else { self.tokens[at].revoke(self.now) }
        }
    }

    /// README, "A refresh token is good for one trade": a spent one ends its family, but for a retry within the grace while its
    /// successor is unused.
    pub fn trade(&self, refresh: usize) -> Traded {
        let token = &self.tokens[refresh];
        if self.disabled[token.user] || self.family(refresh).is_none() {
            return Traded::Refused;
        }
        let spent = match token.trade {
            Trade { spent_at: None, .. } => refresh,
            Trade { spent_at: Some(spent_at), successor: Some(successor), .. }
                if self.now < spent_at + self.settings.refresh_grace
                    && self.tokens[successor].trade.spent_at.is_none() =>
            {
                successor
            }
            Trade { .. } => return Traded::Copy,
        };
        if self.tokens[spent].is_active(self.now) { Traded::Pair { spent } } else { Traded::Refused }
    }

    /// What a trade does to those that are there: the one that is spent ends, and at a retry the whole pair that was lost.
    pub fn spend(&mut self, refresh: usize, spent: usize, successor: usize) {
        let now = self.now;
        self.tokens[spent].trade.spent_at = Some(now);
        self.tokens[spent].revoke(now);
        if let Some(lost) = self.tokens[spent].trade.beside.filter(|_| spent != refresh) {
            self.tokens[lost].revoke(now);
        }
        for token in [refresh, spent] {
            self.tokens[token].trade.successor = Some(successor);
        }
    }

    /// README, job `rotations`: records of refresh tokens whose family has ended.
    pub fn forget_families(&mut self) {
        let now = self.now;
        self.families.iter_mut().for_each(|family| family.forgotten |= now > family.end + SETTLED);
    }

    /// Instants at which something changes by itself.
    pub fn edges(&self, secrets: &[Secret]) -> Vec<i64> {
        let of_token = |token: &Token| {
            let ended = token.revoked_at.map_or(token.end().end, |revoked_at| revoked_at);
            let retentions = [self.settings.retain_expired, self.settings.retain_revoked, SETTLED];
            let mut edges = vec![token.end().start, token.end().end, token.max_end];
            edges.extend(retentions.map(|retention| ended + retention));
            edges.extend(token.trade.spent_at.map(|spent_at| spent_at + self.settings.refresh_grace));
            edges
        };
        let mut edges: Vec<_> = self.tokens.iter().filter(|token| !token.deleted).flat_map(of_token).collect();
        edges.extend(secrets.iter().map(|secret| secret.until));
        edges.retain(|edge| (self.now + 1..i64::MAX).contains(edge));
        edges.sort_unstable();
        edges.dedup();
        edges
    }
}
