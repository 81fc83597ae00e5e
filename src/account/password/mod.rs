//! Passwords: what is good enough, and how they are kept.
//!
//! A password is hashed exactly as it came, byte for byte: it is not normalised, cut or trimmed, so what somebody chose
//! is what opens the account.
//!
//! - [`mod@argon2id`]: one hash, one verification, with its memory lent to it;
//! - [`mod@pool`]: the few threads that do it, and the queue before them;
//! - [`mod@policy`]: what is good enough.
//!
//! A verifier for hashes of another kind belongs beside [`mod@argon2id`], chosen by the hash's own first field.

pub mod argon2id;
pub mod policy;
pub mod pool;

use std::fmt;

use zeroize::Zeroizing;

pub use argon2id::Cost;
pub use pool::{Hasher, Verified};

/// A password as somebody typed it. It is wiped when dropped, and its `Debug` shows nothing.
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes a password.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Whether it has more bytes than this.
    pub fn is_longer_than(&self, bytes: usize) -> bool {
        self.0.len() > bytes
    }

    fn as_str(&self) -> &str {
        &self.0
    }

    /// The password itself, for those alone who compare how it was read.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn expose(&self) -> &str {
        self.as_str()
    }

    fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Makes a password up: 24 letters and digits, drawn by the operating system.
pub fn make_up() -> Result<String, getrandom::Error> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut drawn = Zeroizing::new([0_u8; 24]);
    getrandom::fill(drawn.as_mut_slice())?;
    Ok(drawn.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect())
}
