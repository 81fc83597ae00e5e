//! A token as it is held: what its row and its user's row say of it. Facts; what follows from them is judged when asked.

use std::sync::atomic::{AtomicI64, Ordering};

use compact_str::CompactString;
use entity::{DigestAlgorithm, Life, Scopes, Timestamp, TokenDigest};
use uuid::Uuid;

use super::{Kind, Owner, row::Row};

/// What is known of one token.
///
/// A million of these are remembered (see [`super::checker`]), so they are packed into 160 bytes, counter included: their
/// texts lie in one piece, here if they are short, and what most tokens do not have lies elsewhere.
#[derive(Debug)]
pub struct Held {
    id: Uuid,
    /// Nil for a client's own.
    user_id: Uuid,
    /// The user's, see [`entity::user::Model::epoch`].
    epoch: u32,
    digest: TokenDigest,
    kind: Kind,
    hint: [u8; 4],
    /// Seconds; 0 if it does not slide.
    idle_timeout: u32,
    /// When it was read, in tenths of a second of uptime.
    read_at: u32,
    /// Where in `text` the user name ends.
    username_ends: u8,
    /// Where the name does; the rest is scopes.
    name_ends: u16,
    /// User name, name and scopes, one after the other.
    text: CompactString,
    created_at: Packed,
    expires_at: Packed,
    ttl_expires_at: Packed,
    max_expires_at: Packed,
    /// In Unix milliseconds, moved by each use that is worth writing down; [`NEVER`] before the first.
    last_used_at: AtomicI64,
    rare: Option<Box<Rare>>,
}

/// How it is passed round: without room for weak references, which nobody has.
pub type HeldRef = triomphe::Arc<Held>;

/// An instant since 1970 in six bytes, which last until the year 10889. Earlier ones become 1970.
#[derive(Clone, Copy, Debug)]
struct Packed([u8; 6]);

impl From<Timestamp> for Packed {
    fn from(instant: Timestamp) -> Self {
        let [_, _, bytes @ ..] = instant.millis().max(0).to_be_bytes();
        Self(bytes)
    }
}

impl From<Packed> for Timestamp {
    fn from(Packed(packed): Packed) -> Self {
        let mut bytes = [0; 8];
        bytes[2..].copy_from_slice(&packed);
        Self::from_millis(i64::from_be_bytes(bytes))
    }
}

/// What few tokens have.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rare {
    previous: Option<(TokenDigest, Timestamp)>,
    revoked_at: Option<Timestamp>,
    client_id: Option<String>,
}

const NEVER: i64 = i64::MIN;

/// Which rule sets a token's `expires_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitedBy {
    /// The ttl it was issued or renewed with.
    Ttl,
    /// It ends earlier unless it is used.
    IdleTimeout,
    /// No renewal will move it.
    MaxLifetime,
}

impl LimitedBy {
    /// Its name, as JSON has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ttl => "ttl",
            Self::IdleTimeout => "idle_timeout",
            Self::MaxLifetime => "max_lifetime",
        }
    }
}

impl From<Row> for Held {
    fn from(Row { token, user }: Row) -> Self {
        match token.digest_algorithm {
            DigestAlgorithm::Sha256 => {}
        }
        let (username, scopes, epoch) = match user {
            // What it was issued with, as far as its user still may.
            Some(user) => (user.username, token.scopes.intersection(&user.grantable), user.epoch),
            None => (String::new(), token.scopes, 0),
        };
        let mut text = CompactString::from(username);
        let username_ends = u8::try_from(text.len()).unwrap_or(u8::MAX);
        text.push_str(&token.name.unwrap_or_default());
        let name_ends = u16::try_from(text.len()).unwrap_or(u16::MAX);
        text.push_str(&scopes.to_string());
        text.shrink_to_fit();
        let mut hint = [b' '; 4];
        hint.iter_mut().zip(token.hint.bytes()).for_each(|(place, letter)| *place = letter);
        let rare = Rare {
            previous: token.previous_digest.zip(token.previous_expires_at),
            revoked_at: token.revoked_at,
            client_id: token.client_id,
        };
        Self {
            id: token.id,
            user_id: token.user_id.unwrap_or_default(),
            epoch: u32::try_from(epoch).unwrap_or(u32::MAX),
            digest: token.digest,
            kind: token.kind,
            hint,
            idle_timeout: token.idle_timeout.map_or(0, |idle| u32::try_from(idle).unwrap_or(u32::MAX)),
            read_at: 0,
            username_ends,
            name_ends,
            text,
            created_at: token.created_at.into(),
            expires_at: token.expires_at.into(),
            ttl_expires_at: token.ttl_expires_at.into(),
            max_expires_at: token.max_expires_at.into(),
            last_used_at: AtomicI64::new(token.last_used_at.map_or(NEVER, Timestamp::millis)),
            rare: (rare != Rare::default()).then(|| Box::new(rare)),
        }
    }
}

impl Held {
    /// The token id.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// What it was issued for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whose it is; none for a client's own.
    pub fn user_id(&self) -> Option<Uuid> {
        (!self.user_id.is_nil()).then_some(self.user_id)
    }

    /// How often its user's tokens had been ended all at once when it was read; see [`entity::user::Model::epoch`].
    pub fn epoch(&self) -> i64 {
        self.epoch.into()
    }

    /// Its user's name; empty for a client's own.
    pub fn username(&self) -> &str {
        self.text.get(..usize::from(self.username_ends)).unwrap_or_default()
    }

    /// What its owner calls it.
    pub fn name(&self) -> Option<&str> {
        let name = self.text.get(usize::from(self.username_ends)..usize::from(self.name_ends));
        name.filter(|name| !name.is_empty())
    }

    /// What it may do, separated by spaces.
    pub fn scope(&self) -> &str {
        self.text.get(usize::from(self.name_ends)..).unwrap_or_default()
    }

    /// Whether it may do this.
    pub fn holds(&self, scope: &str) -> bool {
        self.scope().split(' ').any(|held| held == scope)
    }

    /// What it may do.
    pub fn scopes(&self) -> Scopes {
        // They were scopes when they were read.
        self.scope().parse().unwrap_or_default()
    }

    /// Whether it may administer.
    pub fn is_admin(&self) -> bool {
        self.holds(Scopes::ADMIN)
    }

    /// Its last four characters.
    pub fn hint(&self) -> &str {
        std::str::from_utf8(&self.hint).unwrap_or_default()
    }

    /// The client it was issued to.
    pub fn client_id(&self) -> Option<&str> {
        self.rare.as_ref().and_then(|rare| rare.client_id.as_deref())
    }

    /// Whose it is.
    pub fn owner(&self) -> Owner {
        match self.user_id() {
            Some(user) => Owner::User(user),
            None => Owner::Client(self.client_id().unwrap_or_default().to_owned()),
        }
    }

    /// When it was issued.
    pub fn created_at(&self) -> Timestamp {
        self.created_at.into()
    }

    /// When it stops working unless it is used or renewed; exclusive.
    pub fn expires_at(&self) -> Timestamp {
        self.life().expires_at
    }

    /// The end that no renewal goes beyond.
    pub fn max_expires_at(&self) -> Timestamp {
        self.max_expires_at.into()
    }

    /// Seconds it may go unused, if it slides.
    pub fn idle_timeout(&self) -> Option<i64> {
        (self.idle_timeout > 0).then_some(self.idle_timeout.into())
    }

    /// Its last use, as far as it was worth writing down.
    pub fn last_used_at(&self) -> Option<Timestamp> {
        let millis = self.last_used_at.load(Ordering::Relaxed);
        (millis != NEVER).then(|| Timestamp::from_millis(millis))
    }

    /// Moves its last use on from `before`; false if somebody else did so meanwhile, or a later use is known.
    pub(super) fn used(&self, before: Option<Timestamp>, now: Timestamp) -> bool {
        let (before, now) = (before.map_or(NEVER, Timestamp::millis), now.millis());
        before < now && self.last_used_at.compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// The same, with when it was read, in milliseconds of uptime.
    pub(super) fn read_at_uptime(self, uptime: i64) -> Self {
        Self { read_at: u32::try_from(uptime / 100).unwrap_or(0), ..self }
    }

    /// When it was read, in milliseconds of uptime.
    pub(super) fn read_at(&self) -> i64 {
        i64::from(self.read_at) * 100
    }

    /// When it was revoked.
    pub fn revoked_at(&self) -> Option<Timestamp> {
        self.rare.as_ref().and_then(|rare| rare.revoked_at)
    }

    /// When it ends, its known uses counted.
    pub fn life(&self) -> Life {
        let recorded = Life {
            expires_at: self.expires_at.into(),
            ttl_expires_at: self.ttl_expires_at.into(),
            idle_timeout: self.idle_timeout(),
            revoked_at: self.revoked_at(),
        };
        match recorded.idle_timeout.and(self.last_used_at()) {
            Some(last) => Life { expires_at: recorded.slid_to(last), ..recorded },
            None => recorded,
        }
    }

    /// Which rule sets its `expires_at`.
    pub fn limited_by(&self) -> LimitedBy {
        let ttl_expires_at = Timestamp::from(self.ttl_expires_at);
        if self.expires_at() < ttl_expires_at {
            LimitedBy::IdleTimeout
        } else if ttl_expires_at < self.max_expires_at() {
            LimitedBy::Ttl
        } else {
            LimitedBy::MaxLifetime
        }
    }

    /// The digest of its present secret's token.
    pub(super) fn digest(&self) -> &TokenDigest {
        &self.digest
    }

    /// The digest that a rotation replaced, and when that stops working; exclusive.
    pub(super) fn previous(&self) -> Option<&(TokenDigest, Timestamp)> {
        self.rare.as_ref().and_then(|rare| rare.previous.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_as_small_as_it_says() {
        // With the counter of a reference beside it, it fills one of the allocator's sizes exactly.
        assert_eq!(size_of::<Held>() + size_of::<usize>(), 160);
    }

    #[test]
    fn an_instant_is_packed_without_loss() {
        for instant in [Timestamp::from_millis(0), Timestamp::from_millis(1_795_510_800_007), Timestamp::MAX] {
            assert_eq!(Timestamp::from(Packed::from(instant)), instant);
        }
    }
}
