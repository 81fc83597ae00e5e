//! The library in programs of one's own: both examples as a person starts them, and what only a program notices.
//!
//! A binary of its own, because the client that asks over HTTP is no part of the server: it is built with the feature `remote`.
//! `tests/run` builds the examples before; by hand that is `cargo build --examples --features remote`.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets what it did not expect has failed")]

mod embedded;
mod misbehaving;
#[expect(dead_code, reason = "the other suite uses more of it")]
#[path = "../it/support/process.rs"]
mod process;
mod program;
mod remote;
mod service;
mod tls;
