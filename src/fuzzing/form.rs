//! Forms ([`crate::api::form`]), and the parameters of the OAuth doors, beside the decoder of the URL standard.

use std::collections::{BTreeMap, HashMap};

use futures_util::FutureExt;
use poem::{
    Request,
    http::{StatusCode, header},
};
use poem_openapi::{ApiExtractor, ExtractParamOptions};
use url::form_urlencoded;

use super::cut;
use crate::api::{
    form::{BadForm, decode, parse, parse_with_blanks},
    oauth::{
        form::Form,
        token::{TokenRequest, scopes},
    },
};

const REPLACED: char = '\u{fffd}';

/// The input is a `Content-Type`, a line break, and a body.
pub fn form(input: &[u8]) {
    let (content_type, body) = cut(input, b'\n');
    let read = parse_with_blanks(body);
    is_what_others_read(body, read.as_ref());
    let read = read.map(without_blanks);
    assert_eq!(parse(body), read);
    comes_back(body, read.as_ref().ok());
    oauth_reads_it(content_type, body, read.ok());
}

fn without_blanks(mut form: HashMap<String, String>) -> HashMap<String, String> {
    form.retain(|_, value| !value.is_empty());
    form
}

/// A form that is accepted is what the lenient decoder reads, and of what is refused it shows why.
fn is_what_others_read(body: &[u8], read: Result<&HashMap<String, String>, &BadForm>) {
    let others: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
    let mut counts = BTreeMap::new();
    for (name, _) in &others {
        *counts.entry(name).or_insert(0) += 1;
    }
    match read {
        Ok(form) => {
            assert_eq!(form.len(), others.len(), "a name is there twice");
            assert!(others.iter().all(|(name, value)| form.get(name) == Some(value)));
            assert!(form.len() <= 100 && !has_stray_percent(body));
        }
        Err(BadForm::Repeated(name)) => assert!(counts[name] > 1, "{name:?} is there once"),
        Err(BadForm::TooMany) => assert!(others.len() > 100),
        Err(BadForm::PercentEncoding) => assert!(has_stray_percent(body)),
        Err(BadForm::Utf8) => {
            assert!(others.iter().any(|(name, value)| name.contains(REPLACED) || value.contains(REPLACED)));
        }
    }
}

fn has_stray_percent(body: &[u8]) -> bool {
    let is_encoded = |rest: &[u8]| rest.len() > 1 && rest[..2].iter().all(u8::is_ascii_hexdigit);
    body.iter().enumerate().any(|(at, byte)| *byte == b'%' && !is_encoded(&body[at + 1..]))
}

/// What was read, written by the standard's encoder, is read as the same; so is any text at all.
fn comes_back(body: &[u8], form: Option<&HashMap<String, String>>) {
    if let Some(form) = form {
        let written = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        assert_eq!(parse(written.as_bytes()).as_ref(), Ok(form));
    }
    let text = String::from_utf8_lossy(body);
    let written: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
    assert_eq!(decode(written.as_bytes()).as_deref(), Ok(&*text));
}

/// The OAuth doors read a form of that media type in UTF-8, as above; whatever else is a 400 in their own words.
fn oauth_reads_it(content_type: &[u8], body: &[u8], form: Option<HashMap<String, String>>) {
    let request = Request::builder().header(header::CONTENT_TYPE, content_type).body(body.to_vec());
    let (request, mut body) = request.split();
    let sent = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let sent = sent.to_ascii_lowercase();
    let read = Form::<TokenRequest>::from_request(&request, &mut body, ExtractParamOptions::default());
    match read.now_or_never().expect("the body is there already") {
        Ok(read) => {
            assert!(sent.trim().starts_with("application/x-www-form-urlencoded"), "{sent:?}");
            assert!(sent.split(';').skip(1).all(|parameter| parameter.trim() != "charset=iso-8859-1"), "{sent:?}");
            let form = form.expect("what is no form is refused");
            assert!(form.iter().all(|(name, value)| read.get(name) == Some(value)));
            assert!(
                read.require("no such parameter", "it is missing").is_err() || form.contains_key("no such parameter")
            );
            if let Some(Ok(scopes)) = read.get("scope").map(scopes) {
                let written = scopes.to_string();
                assert!(read.get("scope").is_some_and(|sent| sent.split(' ').all(|scope| scopes.contains(scope))));
                assert!(!written.contains(['"', '\\']) && written.is_ascii());
                assert_eq!(self::scopes(&written).ok(), Some(scopes));
            }
        }
        Err(error) => {
            let is_right = matches!(
                &*sent,
                "application/x-www-form-urlencoded" | "application/x-www-form-urlencoded; charset=utf-8"
            );
            assert!(!is_right || form.is_none(), "a form is refused");
            assert_eq!(error.status(), StatusCode::BAD_REQUEST);
            let answer =
                error.into_response().into_body().into_string().now_or_never().expect("the body is there already");
            let answer: serde_json::Value = serde_json::from_str(&answer.unwrap_or_default()).expect("JSON");
            assert_eq!(answer["error"], "invalid_request");
        }
    }
}
