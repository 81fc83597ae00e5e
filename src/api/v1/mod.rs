//! The API of `/v1`, one file a resource.

pub mod audit;
pub mod check;
pub mod clients;
pub mod maintenance;
pub mod session;
pub mod tokens;
pub mod users;
