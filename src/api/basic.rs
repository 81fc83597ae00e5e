//! HTTP Basic (RFC 7617): a user and a password, or a client and its secret (RFC 6749 §2.3.1).

use base64::{Engine, prelude::BASE64_STANDARD};
use poem::http::{HeaderMap, header};
use zeroize::Zeroizing;

/// Name and secret as they stand in the header.
pub(crate) struct Basic {
    pub(crate) name: Zeroizing<String>,
    pub(crate) secret: Zeroizing<String>,
}

/// Why an `Authorization` field is no credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadBasic {
    /// It is there more than once, or cannot be read.
    Unreadable,
    /// What follows `Basic` is no name and secret.
    Malformed,
}

/// HTTP Basic, if that is what the request has: UTF-8, and the name ends at the first colon.
///
/// Another scheme is not for us: programs send their last token along with everything.
pub(crate) fn basic(headers: &HeaderMap) -> Result<Option<Basic>, BadBasic> {
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let Some(field) = fields.next() else { return Ok(None) };
    if fields.next().is_some() {
        return Err(BadBasic::Unreadable);
    }
    let field = field.as_bytes().trim_ascii();
    let (scheme, encoded) = field.split_at(field.iter().position(|byte| *byte == b' ').unwrap_or(field.len()));
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return Ok(None);
    }
    let decoded = Zeroizing::new(BASE64_STANDARD.decode(encoded.trim_ascii()).map_err(|_| BadBasic::Malformed)?);
    let decoded = str::from_utf8(&decoded).map_err(|_| BadBasic::Malformed)?;
    let (name, secret) = decoded.split_once(':').ok_or(BadBasic::Malformed)?;
    Ok(Some(Basic { name: Zeroizing::new(name.to_owned()), secret: Zeroizing::new(secret.to_owned()) }))
}
