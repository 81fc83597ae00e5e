//! A file that is in the binary, as a response.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use poem::{
    Request, Response,
    http::{HeaderMap, StatusCode, header},
};
use sha2::{Digest, Sha256};

/// Scripts come from files of ours only; Swagger UI sets styles on elements, so those are allowed inline.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; font-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'";

/// The media type of a page.
pub const HTML: &str = "text/html; charset=utf-8";

/// A file, or 304 if the browser has this very one.
pub fn asset(request: &Request, content_type: &str, text: &'static str) -> Response {
    let tag = format!("\"{}\"", short_hash(text));
    let response = Response::builder()
        .header(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY)
        .header(header::CACHE_CONTROL, "no-cache")
        .header(header::REFERRER_POLICY, "no-referrer")
        .header(header::ETAG, &tag);
    if has(request.headers(), &tag) {
        return response.status(StatusCode::NOT_MODIFIED).finish();
    }
    response.content_type(content_type).body(text)
}

/// Compression may have marked the tag as weak on its way out.
fn has(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    known.split(',').any(|known| known.trim().trim_start_matches("W/") == tag)
}

fn short_hash(text: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(text.as_bytes())[..12])
}
