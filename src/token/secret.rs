//! A token on the wire: `<prefix><kind>_<id><secret><checksum>`.
//!
//! - prefix: `dp` unless configured otherwise, so that scanners recognise a leaked token;
//! - kind: one letter, see [`Kind`];
//! - id: the token's `UUIDv7` as 22 base62 characters: it finds the row by its time-ordered key;
//! - secret: 32 base62 characters from the operating system's generator (190 bits): it proves possession;
//! - checksum: CRC-32 (ISO-HDLC) of everything before it as 6 base62 characters: a typing error never costs a read.
//!
//! NEVER change how tokens that are out there are read: it would end every one of them.

use std::fmt;

use entity::{Timestamp, TokenDigest, token::Kind};
use sea_orm::ActiveEnum;
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::id;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const ID: usize = 22;
const SECRET: usize = 32;
const CHECKSUM: usize = 6;
const BODY: usize = ID + SECRET + CHECKSUM;

/// How far in the future an id may lie: two replicas' clocks are allowed to differ by less.
const FUTURE: i64 = 60_000;

/// A token that was just made: the only thing that holds it, until it has been shown once.
pub struct TokenSecret(Zeroizing<String>);

impl TokenSecret {
    /// Makes the token for `id`.
    pub fn generate(prefix: &str, kind: Kind, id: Uuid) -> Result<Self, getrandom::Error> {
        let letter = kind.to_value();
        let mut text = Zeroizing::new(String::with_capacity(prefix.len() + 2 + BODY));
        text.push_str(prefix);
        text.push_str(&letter);
        text.push('_');
        text.push_str(&id_text(id));
        push_random(&mut text, SECRET)?;
        let checksum = base62::<CHECKSUM>(crc32fast::hash(text.as_bytes()).into());
        text.push_str(&checksum);
        Ok(Self(text))
    }

    /// The token itself, to be shown to whom it was issued for.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    pub fn digest(&self) -> TokenDigest {
        digest(&self.0)
    }

    /// Its last four characters, which are part of the checksum.
    pub fn hint(&self) -> &str {
        &self.0[self.0.len() - 4..]
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(..)")
    }
}

/// What a presented token says of itself; that it is true is for the digest to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presented {
    /// The kind it claims.
    pub kind: Kind,
    /// The row it names.
    pub id: Uuid,
    /// Its digest, to compare with the row's.
    pub digest: TokenDigest,
}

/// Reads a token, or tells that it cannot be one of ours: wrong prefix, length, alphabet, checksum, or an id from the
/// future. No database is asked.
pub fn parse<'a>(text: &str, mut prefixes: impl Iterator<Item = &'a str>, now: Timestamp) -> Option<Presented> {
    let body_at = text.len().checked_sub(BODY)?;
    let (head, body) = (text.get(..body_at)?, text.get(body_at..)?);
    if !prefixes.any(|prefix| is_head(head, prefix)) || !body.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let (checked, checksum) = text.split_at(text.len() - CHECKSUM);
    if from_base62(checksum) != Some(crc32fast::hash(checked.as_bytes()).into()) {
        return None;
    }
    let kind = kind_of(*head.as_bytes().get(head.len() - 2)?)?;
    let id = read_id(&body[..ID])?;
    (id::made_at(id).millis_since(now) <= FUTURE).then(|| Presented { kind, id, digest: digest(text) })
}

/// The kind that a letter stands for: that of the stored column, written out because looking it up there is slower. A test
/// holds the two equal.
const fn kind_of(letter: u8) -> Option<Kind> {
    match letter {
        b's' => Some(Kind::Session),
        b'k' => Some(Kind::Api),
        b'c' => Some(Kind::Client),
        b'r' => Some(Kind::Refresh),
        _ => None,
    }
}

fn is_head(head: &str, prefix: &str) -> bool {
    head.strip_prefix(prefix).is_some_and(|rest| rest.len() == 2 && rest.ends_with('_'))
}

/// What is stored of a token.
pub fn digest(token: &str) -> TokenDigest {
    TokenDigest::new(Sha256::digest(token.as_bytes()).into())
}

/// An id in base62: that of a token, and a client's. Such texts sort, byte by byte, as their ids do.
pub(crate) fn id_text(id: Uuid) -> String {
    base62::<ID>(id.as_u128())
}

/// The id that such a text writes.
pub(crate) fn read_id(text: &str) -> Option<Uuid> {
    (text.len() == ID).then(|| from_base62(text)).flatten().map(Uuid::from_u128)
}

/// Draws a secret's characters, all 62 equally likely: a byte beyond the last multiple of 62 is drawn again.
pub(crate) fn push_random(text: &mut String, count: usize) -> Result<(), getrandom::Error> {
    let mut drawn = Zeroizing::new([0_u8; SECRET]);
    let mut missing = count;
    while missing > 0 {
        getrandom::fill(drawn.as_mut_slice())?;
        for byte in drawn.iter().filter(|byte| **byte < 248).take(missing) {
            text.push(char::from(BASE62[usize::from(byte % 62)]));
            missing -= 1;
        }
    }
    Ok(())
}

/// `number` in base62, most significant digit first, padded with `0` to `N` digits.
fn base62<const N: usize>(mut number: u128) -> String {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[usize::try_from(number % 62).unwrap_or(0)];
        number /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

/// The number that these digits are; none if one is no digit, or it is too large. Ten at a time, for as many fit into a
/// `u64`: arithmetic in 128 bits is slow.
fn from_base62(digits: &str) -> Option<u128> {
    digits.as_bytes().chunks(10).try_fold(0_u128, |number, digits| {
        let (mut value, mut scale) = (0_u64, 1_u64);
        for digit in digits {
            let digit = VALUES[usize::from(*digit)];
            if digit == NO_DIGIT {
                return None;
            }
            value = value * 62 + u64::from(digit);
            scale *= 62;
        }
        number.checked_mul(scale.into())?.checked_add(value.into())
    })
}

/// What each byte is worth as a digit. The digits of a token are random: a processor cannot foresee the branches that
/// would tell them apart, so none are taken.
const VALUES: [u8; 256] = {
    let (mut values, mut digit) = ([NO_DIGIT; 256], 0_u8);
    while digit < 62 {
        values[BASE62[digit as usize] as usize] = digit;
        digit += 1;
    }
    values
};
const NO_DIGIT: u8 = u8::MAX;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_510_800_000);
    const KINDS: [Kind; 4] = [Kind::Session, Kind::Api, Kind::Client, Kind::Refresh];

    fn read(text: &str) -> Option<Presented> {
        parse(text, ["dp", "old"].into_iter(), NOW)
    }

    #[test]
    fn is_64_characters_with_the_default_prefix() {
        let token = TokenSecret::generate("dp", Kind::Session, id::new(NOW)).unwrap();
        assert_eq!(token.expose().len(), 64);
        assert!(token.expose().starts_with("dps_") && token.expose().ends_with(token.hint()));
        assert_eq!(format!("{token:?}"), "TokenSecret(..)");
    }

    #[test]
    fn is_written_as_documented() {
        // Worked out by hand from the description: id 1, every secret character `0`.
        let checked = format!("dpk_{}1{}", "0".repeat(21), "0".repeat(32));
        let checksum = base62::<6>(crc32fast::hash(checked.as_bytes()).into());
        let presented = read(&format!("{checked}{checksum}")).unwrap();
        assert_eq!((presented.kind, presented.id.as_u128()), (Kind::Api, 1));
        assert_eq!(crc32fast::hash(b"123456789"), 0xCBF4_3926, "ISO-HDLC's check value");
        assert_eq!(base62::<6>(u32::MAX.into()), "4gfFC3");
        assert_eq!(base62::<22>(u128::MAX), "7n42DGM5Tflk9n8mt7Fhc7");
        assert_eq!(from_base62("7n42DGM5Tflk9n8mt7Fhc7"), Some(u128::MAX));
        assert_eq!(from_base62("7n42DGM5Tflk9n8mt7Fhc8"), None, "one more does not fit");
    }

    #[test]
    fn letters_are_those_of_the_table() {
        for letter in u8::MIN..=u8::MAX {
            assert_eq!(kind_of(letter), Kind::try_from_value(&char::from(letter).to_string()).ok());
        }
    }

    #[test]
    fn an_id_from_the_future_is_refused_after_a_minute() {
        for (ahead, accepted) in [(60_000, true), (60_001, false)] {
            let id = id::new(Timestamp::from_millis(NOW.millis() + ahead));
            let token = TokenSecret::generate("dp", Kind::Session, id).unwrap();
            assert_eq!(read(token.expose()).is_some(), accepted, "{ahead} ms ahead");
        }
    }

    /// Were one letter likelier than another, as where a byte is taken modulo 62, its count would stand out.
    #[test]
    fn a_hundred_thousand_secrets_are_all_different_and_every_letter_is_as_likely_everywhere() {
        const MANY: usize = 100_000;
        let (id, mut seen, mut counts) = (id::new(NOW), HashSet::with_capacity(MANY), [[0_u32; 62]; SECRET]);
        for _ in 0..MANY {
            let token = TokenSecret::generate("dp", Kind::Session, id).unwrap();
            assert_eq!(token.expose().len(), 64);
            let secret = &token.expose()[64 - CHECKSUM - SECRET..64 - CHECKSUM];
            for (place, letter) in secret.bytes().enumerate() {
                counts[place][usize::from(VALUES[usize::from(letter)])] += 1;
            }
            assert!(seen.insert(secret.to_owned()), "the same secret came twice");
        }
        for (place, counts) in counts.iter().enumerate() {
            let expected = 100_000.0 / 62.0;
            let chi_square: f64 = counts.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum();
            // With 61 degrees of freedom chance goes beyond 150 once in 10^9 times, and hardly ever below 20.
            assert!((20.0..150.0).contains(&chi_square), "place {place}: {chi_square:.0} of {counts:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_made_is_read_back(kind in 0_usize..4, random in any::<u64>(), old in any::<bool>()) {
            let id = Uuid::from_u128(id::new(NOW).as_u128() ^ u128::from(random >> 2));
            let token = TokenSecret::generate(if old { "old" } else { "dp" }, KINDS[kind], id).unwrap();
            let expected = Presented { kind: KINDS[kind], id, digest: token.digest() };
            prop_assert_eq!(read(token.expose()), Some(expected));
        }

        #[test]
        fn one_wrong_character_is_noticed(at in 0_usize..64, with in "[ -~]") {
            let token = TokenSecret::generate("dp", Kind::Api, id::new(NOW)).unwrap();
            let mut wrong = token.expose().to_owned();
            wrong.replace_range(at..=at, &with);
            prop_assert_eq!(read(&wrong).is_some(), wrong == token.expose());
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), tail in "\\PC{0,70}") {
            prop_assert_eq!(read(&text), None);
            prop_assert_eq!(read(&format!("dps_{tail}")), None);
        }
    }
}
