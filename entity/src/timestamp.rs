//! Instants, as all three databases can keep them.

use std::{fmt, str::FromStr, time::Duration};

use chrono::{DateTime, Utc};
use sea_orm::DeriveValueType;

/// An instant, in Unix milliseconds (BIGINT in every database).
///
/// The databases' own timestamp types disagree in precision, range and comparison; an integer does not.
/// JSON and people see RFC 3339 in UTC with milliseconds and a `Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, DeriveValueType)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The last instant that RFC 3339 can write: 9999-12-31T23:59:59.999Z.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// The first one: 0000-01-01T00:00:00.000Z.
    pub const MIN: Self = Self(-62_167_219_200_000);

    /// The instant so many milliseconds after the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// This instant plus whole seconds, never past [`Timestamp::MAX`].
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1000))).min(Self::MAX)
    }

    /// This instant moved back by `duration`.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Milliseconds from `earlier` to this instant; negative when it lies before.
    pub const fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The same instant for chrono; `None` outside the years it can express.
    pub fn to_chrono(self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_millis(self.0)
    }
}

impl From<DateTime<Utc>> for Timestamp {
    /// Cuts to the millisecond: what is stored and what is compared are then the same.
    fn from(instant: DateTime<Utc>) -> Self {
        Self(instant.timestamp_millis())
    }
}

impl Timestamp {
    /// RFC 3339 in UTC with milliseconds. A check writes five of these, so it is done by arithmetic: chrono's general
    /// formatter takes ten times as long.
    pub fn text(self) -> Text {
        const DAY: i64 = 86_400_000;
        let (day, millis) = (self.0.div_euclid(DAY), self.0.rem_euclid(DAY));
        // Days are counted from a 1 March, so that the leap day is a year's last (days_from_civil, turned round).
        let day = day + 719_468;
        let (era, day) = (day.div_euclid(146_097), day.rem_euclid(146_097));
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
        let year = era * 400 + year + i64::from(month <= 2);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let pairs = [
            (0, year / 100),
            (2, year % 100),
            (5, month),
            (8, day),
            (11, millis / 3_600_000),
            (14, millis / 60_000 % 60),
            (17, millis / 1000 % 60),
            // The middle digit of three belongs to both of these.
            (20, millis / 10 % 100),
            (21, millis % 100),
        ];
        for (at, number) in pairs {
            text[at..at + 2].copy_from_slice(&pair(number));
        }
        Text(text)
    }
}

/// Two digits.
fn pair(number: i64) -> [u8; 2] {
    let number = u8::try_from(number).unwrap_or(0);
    [b'0' + number / 10, b'0' + number % 10]
}

/// An instant as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text([u8; 24]);

impl Text {
    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The same as bytes, all of them ASCII.
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if (Self::MIN..=Self::MAX).contains(self) {
            f.write_str(self.text().as_str())
        } else {
            write!(f, "{} ms", self.0)
        }
    }
}

/// The text is not an RFC 3339 instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an RFC 3339 instant such as 2026-11-24T09:30:00Z")]
pub struct BadTimestamp;

impl FromStr for Timestamp {
    type Err = BadTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        DateTime::parse_from_rfc3339(text).map(|instant| instant.to_utc().into()).map_err(|_| BadTimestamp)
    }
}

#[cfg(test)]
mod tests {
    use chrono::SecondsFormat;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn is_written_in_utc_with_milliseconds() {
        assert_eq!(Timestamp::from_millis(1_795_510_800_007).to_string(), "2026-11-24T09:00:00.007Z");
        assert_eq!("2026-11-24T10:00:00.0079+01:00".parse(), Ok(Timestamp::from_millis(1_795_510_800_007)));
        assert_eq!("yesterday".parse::<Timestamp>(), Err(BadTimestamp));
    }

    proptest! {
        #[test]
        fn is_written_as_chrono_writes_it(millis in Timestamp::MIN.millis()..=Timestamp::MAX.millis()) {
            let expected = DateTime::from_timestamp_millis(millis).unwrap();
            let text = Timestamp::from_millis(millis).to_string();
            prop_assert_eq!(text, expected.to_rfc3339_opts(SecondsFormat::Millis, true));
        }
    }

    #[test]
    fn sums_stay_within_what_can_be_written() {
        assert_eq!(Timestamp::from_millis(5).plus_seconds(i64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999Z");
    }
}
