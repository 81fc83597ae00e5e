//! The `Host` field (RFC 9112 §3.2).
//!
//! Nothing that is answered here depends on it. But who leaves it out, sends it twice, or writes into it what is no host, may be
//! understood differently by a proxy in between; so the request is not understood at all.

use poem::http::{HeaderMap, StatusCode, Version, header};

use super::problem::ApiError;

/// Refuses a request whose host is not there once and well-formed; HTTP/1.0 had none.
pub fn check(version: Version, headers: &HeaderMap) -> Result<(), ApiError> {
    let mut fields = headers.get_all(header::HOST).iter();
    let right = match (fields.next(), fields.next()) {
        (None, _) => version < Version::HTTP_11,
        (Some(host), None) => host.as_bytes().iter().all(|byte| may_be_in_a_host(*byte)),
        (Some(_), Some(_)) => false,
    };
    if right {
        return Ok(());
    }
    let error = ApiError::new(StatusCode::BAD_REQUEST, "Host must be there once, and hold a host and perhaps a port.");
    Err(error.header(header::CONNECTION, "close"))
}

/// RFC 3986 §3.2.2, and the colon before a port.
fn may_be_in_a_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte)
}
