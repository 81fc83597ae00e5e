//! Daypass: a token service. It issues opaque tokens that expire, checks them on every request, and purges the stale.
//!
//! # Layout
//!
//! Arrows point from who knows to who is known; none turns back.
//!
//! ```text
//! main ─> cli ─> server ─> api ─┐
//!          │        └─> maintenance ─> token ─> db ─> entity
//!          └──────────────────────────> account ┘      clock, config, id
//! ```
//!
//! Start with the `entity` crate (what a row is, and [`entity::expiry`]: when a token works), then [`token`]: a file for
//! each thing that is done with a token. [`account`] is people and passwords, [`maintenance`] the purge, [`db`] the three
//! databases. [`api`] is HTTP, with all routes on one page, [`cli`] the command line. [`app::App`] holds what a request
//! needs; [`clock`] is the only place that reads the time, [`token::secret`] the only one that makes tokens.

pub mod account;
pub mod api;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod db;
pub mod error;
pub mod id;
pub mod maintenance;
pub mod server;
pub mod telemetry;
pub mod token;
