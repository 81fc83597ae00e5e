//! What a token may do.

use std::{collections::BTreeSet, fmt, str::FromStr};

use sea_orm::DeriveValueType;
use serde::{Deserialize, Serialize};

/// A set of scopes: each a `scope-token` of RFC 6749 §3.3, printable ASCII but for space, `"` and `\`.
///
/// At most 64 of them, each of 1 to 128 characters. Stored and shown sorted, separated by one space.
#[derive(Clone, Debug, Default, PartialEq, Eq, DeriveValueType, Serialize, Deserialize)]
#[sea_orm(value_type = "String")]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Scopes(BTreeSet<String>);

/// Why a text is no set of scopes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadScope {
    /// The scope is empty, too long, or has a character that RFC 6749 does not allow.
    #[error("each scope must be 1 to 128 printable ASCII characters without space, quotation mark or backslash")]
    Malformed,
    /// There are more than 64.
    #[error("there may be at most 64 scopes")]
    TooMany,
}

impl Scopes {
    const MOST: usize = 64;
    const LONGEST: usize = 128;

    /// Administers everything.
    pub const ADMIN: &'static str = "daypass:admin";
    /// Lets an `api` token issue others.
    pub const ISSUE: &'static str = "daypass:issue";
    /// Lets a client, or a token, introspect tokens.
    pub const INTROSPECT: &'static str = "daypass:introspect";

    /// Checks and collects scopes; doubles count once.
    pub fn collect<S: AsRef<str>>(scopes: impl IntoIterator<Item = S>) -> Result<Self, BadScope> {
        let mut set = BTreeSet::new();
        for scope in scopes {
            let scope = scope.as_ref();
            if !is_scope_token(scope) {
                return Err(BadScope::Malformed);
            }
            set.insert(scope.to_owned());
            if set.len() > Self::MOST {
                return Err(BadScope::TooMany);
            }
        }
        Ok(Self(set))
    }

    /// Whether `scope` is one of them.
    pub fn contains(&self, scope: &str) -> bool {
        self.0.contains(scope)
    }

    /// Whether every scope of `other` is one of them.
    pub fn contains_all(&self, other: &Self) -> bool {
        other.0.is_subset(&self.0)
    }

    /// The scopes that both hold.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }

    /// All but Daypass's own (`daypass:…`), which are never handed on unasked.
    #[must_use]
    pub fn without_reserved(&self) -> Self {
        Self(self.0.iter().filter(|scope| !scope.starts_with("daypass:")).cloned().collect())
    }

    /// The scopes, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn is_scope_token(scope: &str) -> bool {
    (1..=Scopes::LONGEST).contains(&scope.len())
        && scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E))
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope)?;
        }
        Ok(())
    }
}

impl FromStr for Scopes {
    type Err = BadScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::collect(text.split(' ').filter(|scope| !scope.is_empty()))
    }
}

impl TryFrom<Vec<String>> for Scopes {
    type Error = BadScope;

    fn try_from(scopes: Vec<String>) -> Result<Self, Self::Error> {
        Self::collect(scopes)
    }
}

impl From<Scopes> for Vec<String> {
    fn from(scopes: Scopes) -> Self {
        scopes.0.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn refuses_what_rfc_6749_does() {
        for bad in ["", "a b", "a\"b", "a\\b", "caf\u{e9}", "a\nb", "\u{7f}", &"x".repeat(129)] {
            assert_eq!(Scopes::collect([bad]), Err(BadScope::Malformed), "{bad:?}");
        }
        let many: Vec<_> = (0..65).map(|n| n.to_string()).collect();
        assert_eq!(Scopes::collect(many), Err(BadScope::TooMany));
    }

    #[test]
    fn reserved_scopes_are_not_handed_on_unasked() {
        let scopes = Scopes::collect(["daypass:admin", "read", "daypassport"]).unwrap();
        assert_eq!(scopes.without_reserved().to_string(), "daypassport read");
    }

    proptest! {
        #[test]
        fn text_and_set_are_two_ways_to_write_the_same(scopes in prop::collection::vec("[!#-\\[\\]-~]{1,20}", 0..20)) {
            let set = Scopes::collect(&scopes).unwrap();
            prop_assert_eq!(set.to_string().parse::<Scopes>().unwrap(), set.clone());
            prop_assert!(scopes.iter().all(|scope| set.contains(scope)));
        }

        #[test]
        fn an_intersection_is_held_by_both(a in "[a-d ]{0,12}", b in "[a-d ]{0,12}") {
            let (a, b): (Scopes, Scopes) = (a.parse().unwrap(), b.parse().unwrap());
            let both = a.intersection(&b);
            prop_assert!(a.contains_all(&both) && b.contains_all(&both));
            prop_assert_eq!(both == a, b.contains_all(&a));
        }
    }
}
