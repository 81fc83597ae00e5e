//! Ids: `UUIDv7`, so that rows lie in the order of their making.

use entity::Timestamp;
use uuid::{Timestamp as UuidTime, Uuid};

/// A new id that carries `now` in its first 48 bits and randomness after.
pub fn new(now: Timestamp) -> Uuid {
    let millis = now.millis().unsigned_abs();
    let nanos = u32::try_from(millis % 1000).unwrap_or(0) * 1_000_000;
    Uuid::new_v7(UuidTime::from_unix_time(millis / 1000, nanos, 0, 0))
}

/// The instant that a `UUIDv7` carries.
pub fn made_at(id: Uuid) -> Timestamp {
    Timestamp::from_millis(i64::try_from(id.as_u128() >> 80).unwrap_or(i64::MAX))
}

/// The smallest id of an instant: every id made before is smaller.
pub fn first_of(instant: Timestamp) -> Uuid {
    let millis = u128::try_from(instant.millis()).unwrap_or(0) & 0xFFFF_FFFF_FFFF;
    Uuid::from_u128(millis << 80)
}
