//! What a client may trade for a token.

use std::{collections::BTreeSet, fmt, str::FromStr};

use sea_orm::DeriveValueType;

/// A grant type (RFC 6749 §1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grant {
    /// The client's own credentials (RFC 6749 §4.4).
    ClientCredentials,
    /// A user's name and password (RFC 6749 §4.3), which RFC 9700 §2.4 forbids in general.
    Password,
    /// A refresh token (RFC 6749 §6).
    RefreshToken,
}

impl Grant {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::ClientCredentials, Self::Password, Self::RefreshToken];

    /// Its name on the wire: the value of `grant_type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::Password => "password",
            Self::RefreshToken => "refresh_token",
        }
    }

    /// The grant of this name, if it is one that is known here.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.name() == name)
    }
}

/// A set of grants; it may be empty. Stored and shown sorted by name, separated by one space.
#[derive(Clone, Debug, Default, PartialEq, Eq, DeriveValueType)]
#[sea_orm(value_type = "String")]
pub struct Grants(BTreeSet<Grant>);

impl Grants {
    /// Whether `grant` is one of them.
    pub fn contains(&self, grant: Grant) -> bool {
        self.0.contains(&grant)
    }

    /// The grants, sorted.
    pub fn iter(&self) -> impl Iterator<Item = Grant> {
        self.0.iter().copied()
    }
}

impl FromIterator<Grant> for Grants {
    fn from_iter<I: IntoIterator<Item = Grant>>(grants: I) -> Self {
        Self(grants.into_iter().collect())
    }
}

/// The text names something that is no grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("each grant must be client_credentials, password or refresh_token")]
pub struct BadGrant;

impl fmt::Display for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, grant) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(grant.name())?;
        }
        Ok(())
    }
}

impl FromStr for Grants {
    type Err = BadGrant;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split(' ').filter(|name| !name.is_empty()).map(|name| Grant::parse(name).ok_or(BadGrant)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_set_are_two_ways_to_write_the_same() {
        for text in ["", "password", "client_credentials refresh_token", "client_credentials password refresh_token"] {
            assert_eq!(text.parse::<Grants>().unwrap().to_string(), text);
        }
        assert_eq!(
            "refresh_token password refresh_token".parse::<Grants>().unwrap().to_string(),
            "password refresh_token"
        );
        assert_eq!("implicit".parse::<Grants>(), Err(BadGrant));
        assert_eq!(Grant::parse("Password"), None);
    }
}
