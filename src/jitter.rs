//! Chance, so that what several do does not fall on the same moment.

use std::time::Duration;

/// Somewhere between nothing and all of it. Where the system has no random bytes, all of it.
pub(crate) fn random_part(whole: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX);
    whole.mul_f64(f64::from(random) / f64::from(u32::MAX))
}
