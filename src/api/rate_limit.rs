//! What a limit tells whoever reached it (draft-ietf-httpapi-ratelimit-headers): which it is, and when to come back.
//!
//! Only a 429 says so: how many attempts are left before it is nothing for those who guess.

use std::time::Duration;

use poem::http::HeaderName;

use crate::error::Policy;

/// The limit.
pub const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// What is left of it.
pub const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// So many in so many seconds, as a list of structured fields (RFC 9651).
pub fn policy(policy: Policy) -> String {
    format!("\"{}\";q={};w={}", policy.name, policy.quota, policy.window.as_secs())
}

/// Nothing is left, for so long.
pub fn state(policy: Policy, wait: Duration) -> String {
    format!("\"{}\";r=0;t={}", policy.name, seconds(wait))
}

/// How long to wait, in whole seconds and at least one.
pub fn seconds(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u64::MAX).max(1)
}
