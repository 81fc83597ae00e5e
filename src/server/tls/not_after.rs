//! When a certificate ends (RFC 5280 §4.1.2.5): the one thing in it that an operator has to know in time.

use chrono::NaiveDateTime;
use entity::Timestamp;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xA0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The last second in which it is valid; none if this is no certificate.
pub(super) fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = sequence(certificate)?;
    let (mut fields, _) = sequence(certificate)?;
    if fields.first() == Some(&VERSION) {
        fields = element(fields)?.rest;
    }
    // The serial number, the algorithm of the signature, and who made it.
    for _ in 0..3 {
        fields = element(fields)?.rest;
    }
    let (validity, _) = sequence(fields)?;
    time(&element(element(validity)?.rest)?)
}

/// A value in DER, and what comes after it.
struct Element<'a> {
    tag: u8,
    value: &'a [u8],
    rest: &'a [u8],
}

fn element(der: &[u8]) -> Option<Element<'_>> {
    let (&tag, der) = der.split_first()?;
    let (&first, der) = der.split_first()?;
    // A length below 128 is this byte, another is in as many bytes as this one says.
    let (length, der) = match usize::from(first & 0x7F) {
        short if first < 0x80 => (short, der),
        bytes @ 1..=4 => {
            let (length, der) = der.split_at_checked(bytes)?;
            (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), der)
        }
        _ => return None,
    };
    let (value, rest) = der.split_at_checked(length)?;
    Some(Element { tag, value, rest })
}

fn sequence(der: &[u8]) -> Option<(&[u8], &[u8])> {
    element(der).filter(|element| element.tag == SEQUENCE).map(|element| (element.value, element.rest))
}

fn time(element: &Element<'_>) -> Option<Timestamp> {
    let text = std::str::from_utf8(element.value).ok()?;
    let text = match element.tag {
        // Two digits are of a year from 1950 to 2049.
        UTC_TIME if text.get(..2)? < "50" => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    NaiveDateTime::parse_from_str(&text, "%Y%m%d%H%M%SZ").ok().map(|time| time.and_utc().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(tag: u8, value: &[u8]) -> Vec<u8> {
        let mut der = vec![tag, 0x82];
        der.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        der.extend(value);
        der
    }

    fn certificate(version: &[u8], time: &[u8]) -> Vec<u8> {
        let validity = [&tagged(UTC_TIME, b"200101000000Z"), time].concat();
        let fields = [version, b"\x02\x01\x05", b"\x30\x00", b"\x30\x00", &tagged(SEQUENCE, &validity), b"\x30\x00"];
        tagged(SEQUENCE, &[&*tagged(SEQUENCE, &fields.concat()), b"\x30\x00"].concat())
    }

    fn end(der: &[u8]) -> Option<String> {
        not_after(der).map(|end| end.text().as_str().to_owned())
    }

    #[test]
    fn both_forms_of_time_are_read_with_a_version_and_without() {
        for version in [&b""[..], b"\xA0\x03\x02\x01\x02"] {
            for (tag, text, expected) in [
                (UTC_TIME, "491231235959Z", "2049-12-31T23:59:59.000Z"),
                (UTC_TIME, "500101000000Z", "1950-01-01T00:00:00.000Z"),
                (GENERALIZED_TIME, "20500101000000Z", "2050-01-01T00:00:00.000Z"),
            ] {
                assert_eq!(end(&certificate(version, &tagged(tag, text.as_bytes()))).unwrap(), expected);
            }
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_end_and_does_no_harm() {
        let whole = certificate(b"", &tagged(UTC_TIME, b"491231235959Z"));
        for length in 0..whole.len() {
            assert_eq!(end(&whole[..length]), None);
        }
        for wrong in [&b"tomorrow"[..], b"", b"\xff", "4\u{e9}1231235959Z".as_bytes()] {
            assert_eq!(end(&certificate(b"", &tagged(UTC_TIME, wrong))), None);
        }
        assert_eq!(end(&certificate(b"", &tagged(2, b"491231235959Z"))), None);
        assert_eq!(end(b"\x30\x85\xff\xff\xff\xff\xff\x00"), None);
    }
}
