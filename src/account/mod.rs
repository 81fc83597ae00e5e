//! People: their accounts, their passwords, and the limits on guessing them.

pub mod known;
pub mod limits;
pub mod login;
pub mod password;
pub mod turns;
pub mod users;
