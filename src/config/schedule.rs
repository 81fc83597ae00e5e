//! When a job runs.

use chrono::{DateTime, Utc};
use croner::{
    Cron,
    parser::{CronParser, Seconds},
};
use entity::Timestamp;

/// A cron expression in UTC: second, minute, hour, day of month, month, day of week.
#[derive(Clone, Debug)]
pub struct Schedule {
    text: String,
    cron: Cron,
}

/// Why a text is no schedule. It says what would be right, as messages about settings do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cron expression in UTC, such as \"0 */5 * * * *\" for every 5 minutes, and this is none ({0})")]
pub struct BadSchedule(String);

impl Schedule {
    /// Reads a cron expression of six fields, or of five (without seconds).
    pub fn parse(text: &str) -> Result<Self, BadSchedule> {
        let bad = |reason: &str| BadSchedule(reason.to_owned());
        let fields = text.split_whitespace().count();
        let six = if fields == 5 { format!("0 {text}") } else { text.to_owned() };
        let parser = CronParser::builder().seconds(Seconds::Required).dom_and_dow(true).build();
        let cron = parser.parse(&six).map_err(|error| bad(&error.to_string()))?;
        // An impossible date such as 31 February parses, and would never run without a word.
        let from = Timestamp::from_millis(0).to_chrono().unwrap_or_default();
        cron.find_next_occurrence(&from, false).map_err(|_| bad("it never comes"))?;
        Ok(Self { text: six, cron })
    }

    /// The expression, with six fields.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first time it comes after `now`.
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        self.cron.find_next_occurrence(&whole_second(now)?, false).ok().map(Timestamp::from)
    }

    /// The last time it came, `now` included.
    pub fn last_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.cron.find_previous_occurrence(&whole_second(now)?, true).ok().map(Timestamp::from)
    }
}

/// croner keeps the fraction of the second it starts from.
fn whole_second(now: Timestamp) -> Option<DateTime<Utc>> {
    Timestamp::from_millis(now.millis() - now.millis().rem_euclid(1000)).to_chrono()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_five_fields_and_six() {
        assert_eq!(Schedule::parse("*/5 * * * *").unwrap().as_str(), "0 */5 * * * *");
        let every_five = Schedule::parse("0 */5 * * * *").unwrap();
        let next = every_five.next_after("2026-11-24T09:03:10.387Z".parse().unwrap());
        assert_eq!(next, Some("2026-11-24T09:05:00Z".parse().unwrap()));
        let last = |now: &str| every_five.last_until(now.parse().unwrap());
        assert_eq!(last("2026-11-24T09:03:10.387Z"), Some("2026-11-24T09:00:00Z".parse().unwrap()));
        assert_eq!(last("2026-11-24T09:05:00.001Z"), Some("2026-11-24T09:05:00Z".parse().unwrap()));
        assert_eq!(last("2026-11-24T09:04:59.999Z"), Some("2026-11-24T09:00:00Z".parse().unwrap()));
    }

    #[test]
    fn says_what_is_wrong() {
        for bad in ["", "tomorrow", "61 * * * * *", "0 0 0 31 2 *"] {
            let error = Schedule::parse(bad).unwrap_err().to_string();
            assert!(error.contains("every 5 minutes") && error.contains("this is none ("), "{error}");
        }
    }
}
