//! The suite: black-box, over the whole route tree, on a real database, with time moved by hand.
//!
//! One binary, one file a subject. Without further ado it runs on `SQLite`; with `DAYPASS_TEST_DATABASE_URL` naming a
//! `PostgreSQL` or MariaDB server on which it may create databases, the same files run there. `tests/run` does all three.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets what it did not expect has failed")]

mod audit;
mod check;
mod checker;
mod cli;
mod clients;
mod connections;
mod crash;
mod django;
mod durability;
mod every_route;
mod expiry;
mod faults;
mod flood;
mod galera;
mod http_surface;
mod lease;
mod left_out;
mod limits;
mod login;
mod maintenance;
mod migrations;
mod model;
mod oauth;
mod openapi;
mod pages;
mod password;
mod problems;
mod process;
mod purge;
// Nobody can be held in another build.
#[cfg(debug_assertions)]
mod races;
mod renew_and_rotate;
mod replicas;
mod revoke;
mod secrets;
mod service;
mod support;
mod time;
mod timing;
mod tls;
mod tokens;
mod users;
