//! Daypass: a token service. It issues opaque tokens that expire, checks them on every request, and purges the stale.
//!
//! # Layout
//!
//! Arrows point from who knows to who is known; who is farther left may skip those in between.
//!
//! ```text
//! main ─> cli ─> server ─> api ─┬─> account ─> client ─┬─> token ─> app ─> db ─> config, clock, error, id, jitter ─> entity
//!                               └─> maintenance ───────┘                  └──> migration
//! ```
//!
//! Five things are not in the drawing. [`app`] keeps what the service consists of, and so knows parts of three modules that
//! know it: the hashing threads of [`account::password`], the place for a purge of [`maintenance::state`] and that for failed
//! logins of [`audit::failures`]; these parts do not know it. [`token::issue`] and [`token::refresh`] lock the rows of the user
//! and the client they make a token for, by `lock_to_issue` of either. [`telemetry`] counts and logs for `cli`, `server`, `api`,
//! `account` and `maintenance`. [`guard`], for programs of one's own, stands where `cli` does. And at the points of [`pause`], which
//! a release build does not have, tests hold those who change or read something.
//!
//! Whatever changes a token goes through [`write()`](write::write), which tells those who remember it; what is remembered is
//! in [`token::checker`] (what is not, its reads ask for, many at a time), and how changes elsewhere are seen in
//! [`token::changes`]. These three hold on to the `App` that holds the checker, and so does [`token::at_once`], which has those
//! wait there for whom the same statement can make a token. Whoever writes says who does it ([`audit::Actor`]), and what is done is
//! put on record by the same transaction ([`audit`]).
//!
//! Start with the `entity` crate (what a row is, and [`entity::expiry`]: when a token works), then [`token`]: a file for
//! each thing that is done with a token. [`account`] is people and passwords, [`client`] programs that have credentials of
//! their own, [`maintenance`] the purge, [`db`] the three databases. [`server`] takes connections; [`api`] is HTTP, with the
//! operations listed in [`api::openapi`] and the pages in [`api::pages`]; [`cli`] is the command line. [`app::App`] holds what
//! a request needs; [`clock`] is the only place that reads the time, [`token::secret`] the only one that makes tokens. What has to
//! hold of any input whatever is in `fuzzing`, which only tests and the targets of fuzz/ are built with.

pub mod account;
pub mod api;
pub mod app;
pub mod audit;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod db;
pub mod error;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod guard;
pub mod id;
mod jitter;
pub mod maintenance;
pub mod pause;
pub mod server;
pub mod telemetry;
pub mod token;
pub mod write;
