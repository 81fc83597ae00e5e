//! What a row is: Daypass's tables, the types of their columns, and the one rule that says when a token works.
//!
//! - [`token`], [`user`], [`client`], [`attempt`], [`known_address`], [`change`], [`maintenance_run`], [`maintenance_job`],
//!   [`refresh_token`], [`audit_event`]: one file a table.
//! - [`Timestamp`], [`Scopes`], [`Grants`], [`TokenDigest`]: what a column holds, checked once, when it is made.
//! - [`expiry`]: when a token works, as Rust and as a SQL condition side by side.
//!
//! Nothing here reads the clock or the database: `now` is always an argument.

pub mod attempt;
pub mod audit_event;
pub mod change;
pub mod client;
mod digest;
pub mod expiry;
mod grants;
pub mod known_address;
pub mod maintenance_job;
pub mod maintenance_run;
mod password_hash;
pub mod refresh_token;
mod scopes;
mod timestamp;
pub mod token;
pub mod user;

pub use digest::{DigestAlgorithm, TokenDigest};
pub use expiry::{Life, State};
pub use grants::{BadGrant, Grant, Grants};
pub use password_hash::PasswordHash;
pub use scopes::{BadScope, Scopes};
pub use timestamp::{BadTimestamp, Timestamp};
