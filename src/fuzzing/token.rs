//! Tokens ([`crate::token::secret`]).

use entity::{Timestamp, token::Kind};

use crate::token::secret::{digest, id_text, parse};

/// An instant, so that an input means the same tomorrow: 2026-11-24 at nine.
const NOW: Timestamp = Timestamp::from_millis(1_795_510_800_000);
const PREFIXES: [&str; 3] = ["dp", "old", "dpdpdpdp"];
const BASE62: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The input is a token as it is, and once more with the checksum that it should have: nobody guesses that by chance.
pub fn token(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    is_read_as_described(text);
    if let Some((checked, _)) = text.len().checked_sub(6).and_then(|at| text.split_at_checked(at)) {
        let sealed = format!("{checked}{}", six_digits(crc32(checked.as_bytes())));
        if is_read_as_described(&sealed) {
            no_change_goes_unnoticed(&sealed);
        }
    }
}

/// Whether it is a token; what is read is what the description says, worked out in the plainest way.
fn is_read_as_described(text: &str) -> bool {
    let read = parse(text, PREFIXES.into_iter(), NOW);
    let described = PREFIXES.into_iter().find_map(|prefix| described(text.strip_prefix(prefix)?, text));
    assert_eq!(read.map(|read| (read.kind, read.id.as_u128())), described);
    let Some(read) = read else { return false };
    assert_eq!(id_text(read.id), text[text.len() - 60..text.len() - 38], "an id is written in one way only");
    assert_eq!(read.digest, digest(text));
    true
}

fn described(rest: &str, text: &str) -> Option<(Kind, u128)> {
    let (kind, body) = rest.split_once('_')?;
    let kind = match kind {
        "s" => Kind::Session,
        "k" => Kind::Api,
        "c" => Kind::Client,
        "r" => Kind::Refresh,
        _ => return None,
    };
    if body.len() != 22 + 32 + 6 || !body.chars().all(|character| BASE62.contains(character)) {
        return None;
    }
    let id = number(&body[..22])?;
    let checked = &text[..text.len() - 6];
    let is_sealed = number(&body[54..]) == Some(crc32(checked.as_bytes()).into());
    let ahead = i64::try_from(id >> 80).ok()? - NOW.millis();
    (is_sealed && ahead <= 60_000).then_some((kind, id))
}

/// A character that is another one, or two neighbours that changed places, are noticed wherever they are.
fn no_change_goes_unnoticed(token: &str) {
    let refused =
        |changed: &[u8]| str::from_utf8(changed).map_or(true, |text| parse(text, PREFIXES.into_iter(), NOW).is_none());
    let mut changed = token.as_bytes().to_vec();
    for at in 0..changed.len() {
        let right = changed[at];
        for wrong in [right ^ 1, right ^ b' ', b'0', b'z', b'_', 0xff] {
            changed[at] = wrong;
            assert!(wrong == right || refused(&changed), "character {at} may be {wrong}");
        }
        changed[at] = right;
        if at > 0 && changed[at - 1] != right {
            changed.swap(at - 1, at);
            assert!(refused(&changed), "characters {} and {at} may change places", at - 1);
            changed.swap(at - 1, at);
        }
    }
    assert!(refused(&token.as_bytes()[1..]) && refused(&token.as_bytes()[..token.len() - 1]));
}

fn number(digits: &str) -> Option<u128> {
    digits.chars().try_fold(0_u128, |number, digit| {
        number.checked_mul(62)?.checked_add(u128::try_from(BASE62.find(digit)?).ok()?)
    })
}

fn six_digits(mut number: u32) -> String {
    let mut digits = String::new();
    for _ in 0..6 {
        let at = usize::try_from(number % 62).unwrap_or_default();
        digits.insert_str(0, &BASE62[at..=at]);
        number /= 62;
    }
    digits
}

/// CRC-32 (ISO-HDLC), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let shift = |register: u32| if register & 1 == 1 { register >> 1 ^ 0xEDB8_8320 } else { register >> 1 };
    !bytes
        .iter()
        .fold(u32::MAX, |register, byte| (0..8).fold(register ^ u32::from(*byte), |register, _| shift(register)))
}
