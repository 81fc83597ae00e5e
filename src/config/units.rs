//! Durations and byte sizes as people write them: `10h`, `90d`, `500ms`; `64KiB`.
//!
//! What is printed is exact and reads back as the same value: one number and the largest unit that divides it, where
//! `humantime` would print 90 days as "2months 29days 2h 52m 48s".

use std::time::Duration;

/// What a duration looks like, for messages.
const A_DURATION: &str = "a duration of at most 100 years, such as \"10h\", \"90d\" or \"500ms\"";

/// What a size looks like, for messages.
const A_SIZE: &str = "a size in B, KiB, MiB or GiB, such as \"64KiB\"";

/// 100 years of 365 days. Longer is a slip of the pen, and adding it to an instant could overflow.
const LONGEST: Duration = Duration::from_hours(100 * 365 * 24);

/// Nanoseconds in each unit of time that is printed.
const TIMES: [(u128, &str); 7] = [
    (86_400_000_000_000, "d"),
    (3_600_000_000_000, "h"),
    (60_000_000_000, "m"),
    (1_000_000_000, "s"),
    (1_000_000, "ms"),
    (1_000, "us"),
    (1, "ns"),
];

/// Bytes in each unit of size. Decimal ones (`kB`) are not read: half of those who write them mean 1024.
const SIZES: [(u64, &str); 4] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")];

/// Reads a duration of at most 100 years.
pub fn parse_duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok().filter(|duration| *duration <= LONGEST)
}

/// Writes a duration so that [`parse_duration`] reads the same one.
pub fn duration_text(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let unit = TIMES.iter().find(|(size, _)| nanos != 0 && nanos.is_multiple_of(*size));
    unit.map_or_else(|| "0s".to_owned(), |(size, name)| format!("{}{name}", nanos / size))
}

/// Reads a number of bytes with its unit.
pub fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (size, _) = SIZES.iter().find(|(_, name)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*size)
}

/// Writes a number of bytes so that [`parse_size`] reads the same one.
pub fn size_text(bytes: u64) -> String {
    let unit = SIZES.iter().find(|(size, _)| bytes != 0 && bytes.is_multiple_of(*size));
    unit.map_or_else(|| "0B".to_owned(), |(size, name)| format!("{}{name}", bytes / size))
}

/// For `#[serde(with)]`: a duration that must be there.
pub(super) mod duration {
    use super::{A_DURATION, Duration, duration_text, parse_duration};
    use serde::{Deserialize, Deserializer, Serializer, de::Error, de::Unexpected};

    pub fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&duration_text(*duration))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        parse_duration(&text).ok_or_else(|| Error::invalid_value(Unexpected::Str(&text), &A_DURATION))
    }
}

/// For `#[serde(with)]`: a duration, or `""` for none. TOML has no null, and a key that is merely absent cannot take
/// back what a weaker layer set.
pub(super) mod optional_duration {
    use super::{A_DURATION, Duration, duration_text, parse_duration};
    use serde::{Deserialize, Deserializer, Serializer, de::Error, de::Unexpected};

    #[expect(clippy::ref_option, reason = "the signature is serde's")]
    pub fn serialize<S: Serializer>(duration: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&duration.map(duration_text).unwrap_or_default())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        let text = String::deserialize(from)?;
        if text.is_empty() {
            return Ok(None);
        }
        let right = format!("\"\" for none, or {A_DURATION}");
        let duration = parse_duration(&text);
        duration.map(Some).ok_or_else(|| Error::invalid_value(Unexpected::Str(&text), &right.as_str()))
    }
}

/// For `#[serde(with)]`: a number of bytes.
pub(super) mod size {
    use super::{A_SIZE, parse_size, size_text};
    use serde::{Deserialize, Deserializer, Serializer, de::Error, de::Unexpected};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
    pub fn serialize<S: Serializer>(bytes: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&size_text(*bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let text = String::deserialize(from)?;
        parse_size(&text).ok_or_else(|| Error::invalid_value(Unexpected::Str(&text), &A_SIZE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_read_as_people_write_them() {
        assert_eq!(parse_duration("10h"), Some(Duration::from_hours(10)));
        assert_eq!(parse_duration("90d"), Some(Duration::from_hours(90 * 24)));
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("1h 30m"), Some(Duration::from_mins(90)));
        assert_eq!(parse_duration("0s"), Some(Duration::ZERO));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", " ", "10", "h", "-1s", "10 parsecs", "1e3s", "36501d", "99999999999999999999d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        assert_eq!(parse_duration("36500d"), Some(LONGEST));
    }

    #[test]
    fn durations_are_printed_in_the_largest_unit_that_divides_them() {
        let printed = [0, 1, 1_500, 60_000, 5_400_000, 36_000_000, 7_776_000_000];
        let printed = printed.map(|millis| duration_text(Duration::from_millis(millis)));
        assert_eq!(printed, ["0s", "1ms", "1500ms", "1m", "90m", "10h", "90d"]);
    }

    #[test]
    fn sizes_read_as_people_write_them() {
        assert_eq!(parse_size("64KiB"), Some(65_536));
        assert_eq!(parse_size("1 MiB"), Some(1_048_576));
        assert_eq!(parse_size("2GiB"), Some(2_147_483_648));
        assert_eq!(parse_size("512B"), Some(512));
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "64", "KiB", "-1B", "1.5MiB", "64KB", "64kib", "64KiB ", "99999999999GiB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_printed_duration_reads_back_as_itself(seconds in 0..LONGEST.as_secs(), nanos in 0..1_000_000_000_u32) {
            for duration in [Duration::new(seconds, nanos), Duration::from_secs(seconds), Duration::new(0, nanos)] {
                prop_assert_eq!(parse_duration(&duration_text(duration)), Some(duration));
            }
        }

        #[test]
        fn a_printed_size_reads_back_as_itself(bytes: u64, shift in 0..64_u32) {
            for bytes in [bytes, bytes << shift, bytes >> shift] {
                prop_assert_eq!(parse_size(&size_text(bytes)), Some(bytes));
            }
        }
    }
}
