//! A file that is in the binary, as a response.

use std::io::Write;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
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

/// A file as it is served, compressed and named once: at every request that would keep checks waiting, and whoever asks for the
/// largest of them again and again needs no credentials for it.
#[derive(Debug)]
pub struct Asset {
    content_type: &'static str,
    text: &'static str,
    /// Weak, for it is the same for both forms.
    tag: String,
    gzipped: Option<Bytes>,
}

impl Asset {
    /// A file of this media type.
    pub fn new(content_type: &'static str, text: &'static str) -> Self {
        let tag = format!("W/\"{}\"", short_hash(text));
        Self { content_type, text, tag, gzipped: gzip(text).filter(|gzipped| gzipped.len() < text.len()) }
    }

    /// The file, or 304 if the browser has this very one.
    pub fn answer(&self, request: &Request) -> Response {
        let headers = request.headers();
        let response = Response::builder()
            .header(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY)
            .header(header::CACHE_CONTROL, "no-cache")
            .header(header::REFERRER_POLICY, "no-referrer")
            .header(header::VARY, "Accept-Encoding")
            .header(header::ETAG, &self.tag);
        if has(headers, &self.tag) {
            return response.status(StatusCode::NOT_MODIFIED).finish();
        }
        let response = response.content_type(self.content_type);
        match &self.gzipped {
            Some(gzipped) if takes_gzip(headers) => {
                response.header(header::CONTENT_ENCODING, "gzip").body(gzipped.clone())
            }
            _ => response.body(self.text),
        }
    }
}

fn gzip(text: &str) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

/// Whether gzip is named, and not with a weight of zero (RFC 9110 §12.5.3).
fn takes_gzip(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|field| field.to_str().ok());
    fields.flat_map(|field| field.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().trim_start_matches(['q', 'Q', '=']).parse();
        name.trim().eq_ignore_ascii_case("gzip") && weight != Ok(0.0)
    })
}

fn has(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    known.split(',').any(|known| opaque(known) == opaque(tag))
}

fn short_hash(text: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(text.as_bytes())[..12])
}
