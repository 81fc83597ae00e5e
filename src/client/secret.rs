//! A client's secret.

use std::fmt;

use entity::TokenDigest;
use zeroize::Zeroizing;

use crate::token::secret::{digest, push_random};

/// How many base62 characters: 256 bits.
const LENGTH: usize = 43;

/// A secret that was just made: the only thing that holds it, until it has been shown once.
///
/// It is drawn and digested as a token's secret is ([`crate::token::secret`]), and has a type of its own because it says
/// nothing of itself: no kind, no id, no checksum. It stands in forms and in HTTP Basic, so it is nothing but `[A-Za-z0-9]`.
pub struct ClientSecret(Zeroizing<String>);

impl ClientSecret {
    /// Makes one.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut text = Zeroizing::new(String::with_capacity(LENGTH));
        push_random(&mut text, LENGTH)?;
        Ok(Self(text))
    }

    /// The secret itself, to be shown to whom it was made for.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    pub fn digest(&self) -> TokenDigest {
        digest(&self.0)
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_43_letters_and_digits_that_nothing_prints() {
        let (one, other) = (ClientSecret::generate().unwrap(), ClientSecret::generate().unwrap());
        assert_eq!(one.expose().len(), 43);
        assert!(one.expose().bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert!(one.expose() != other.expose() && one.digest() != other.digest());
        assert_eq!(format!("{one:?}"), "ClientSecret(..)");
    }
}
