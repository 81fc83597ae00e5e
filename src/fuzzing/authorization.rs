//! The header `Authorization`: as a check reads it ([`crate::api::auth::credential`]), and HTTP Basic as the logins and the
//! OAuth doors do.

use base64::{Engine, prelude::BASE64_STANDARD};
use poem::{
    Request,
    http::{HeaderMap, HeaderValue, header},
};

use super::cut;
use crate::api::{
    auth::{Credential, credential},
    basic::basic,
    v1::session,
};

const TOKEN_SCHEMES: [&str; 2] = ["bearer", "token"];
const SCHEMES: [&str; 5] = ["bearer", "token", "basic", "digest", "negotiate"];

/// Each line of the input is a field.
pub fn authorization(input: &[u8]) {
    let fields: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    let Some(headers) = headers(&fields) else { return };
    match credential(&headers) {
        Credential::Unreadable => {
            let words = str::from_utf8(fields[0]).map_or(3, |field| field.split_ascii_whitespace().count());
            assert!(fields.len() > 1 || words > 2 || !fields[0].is_ascii(), "one word is no reason to refuse");
        }
        Credential::Token(token) => is_there_once(&fields, token),
        Credential::None => assert_eq!(fields.len(), 1, "two fields are refused"),
    }
    if let [field] = fields[..]
        && let Some(word) = str::from_utf8(field).ok().and_then(|field| field.split_ascii_whitespace().next())
    {
        is_read_in_three_forms(word);
    }
    basic_is_read_alike(&fields, &headers);
    basic_comes_back(input);
}

fn headers(fields: &[&[u8]]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for field in fields {
        headers.append(header::AUTHORIZATION, HeaderValue::from_bytes(field).ok()?);
    }
    Some(headers)
}

fn is_there_once(fields: &[&[u8]], token: &str) {
    assert_eq!(fields.len(), 1, "two fields are refused");
    assert!(!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
    let field = String::from_utf8_lossy(fields[0]);
    let before = field.trim_ascii().strip_suffix(token).expect("the token is the last word").trim_ascii();
    assert!(before.is_empty() || TOKEN_SCHEMES.contains(&before.to_ascii_lowercase().as_str()));
}

/// A word is the same token in each of the three forms, and never beside another one.
fn is_read_in_three_forms(word: &str) {
    let read = |field: &str, token: Credential<'_>| {
        let headers = headers(&[field.as_bytes()]).expect("it came from a header");
        assert!(credential(&headers) == token, "{field:?}");
    };
    if !word.is_ascii() {
        return read(word, Credential::Unreadable);
    }
    let token = || Credential::Token(word);
    let is_scheme = SCHEMES.contains(&word.to_ascii_lowercase().as_str());
    read(word, if is_scheme { Credential::None } else { token() });
    read(&format!("Bearer {word}"), token());
    read(&format!("\ttOKEN \t {word} "), token());
    read(&format!("Bearer {word} {word}"), Credential::Unreadable);
    read(&format!("Basic {word}"), Credential::None);
    let twice = headers(&[word.as_bytes(), word.as_bytes()]).expect("it came from a header");
    assert!(credential(&twice) == Credential::Unreadable);
}

/// The doors accept the same HTTP Basic, read the same out of it, and only what is written in the one way there is.
fn basic_is_read_alike(fields: &[&[u8]], headers: &HeaderMap) {
    let mut request = Request::default();
    request.headers_mut().clone_from(headers);
    let at_login = session::by_basic(&request).ok().flatten();
    let of_client = basic(headers).ok().flatten();
    let at_login = at_login.map(|login| format!("{}:{}", login.username, login.password.expose()));
    let of_client = of_client.map(|client| {
        assert!(!client.name.contains(':'), "the name ends at the first colon");
        format!("{}:{}", *client.name, *client.secret)
    });
    assert_eq!(at_login, of_client);
    if let Some(read) = at_login {
        assert_eq!(fields.len(), 1, "two fields are refused");
        let field = String::from_utf8_lossy(fields[0]);
        let (scheme, encoded) = field.trim_ascii().split_once(' ').expect("a scheme, and what follows it");
        assert!(scheme.eq_ignore_ascii_case("basic"));
        assert_eq!(encoded.trim_ascii(), BASE64_STANDARD.encode(read));
        assert!(credential(headers) == Credential::None, "what is Basic is no token");
    }
}

/// Any name without a colon, and any password, arrive as they were sent.
fn basic_comes_back(input: &[u8]) {
    let (name, password) = cut(input, b':');
    let (name, password) = (String::from_utf8_lossy(name), String::from_utf8_lossy(password));
    let field = format!("bAsIc {}", BASE64_STANDARD.encode(format!("{name}:{password}")));
    let headers = headers(&[field.as_bytes()]).expect("base64 may stand in a header");
    let client = basic(&headers).ok().flatten().expect("it is Basic");
    assert_eq!((client.name.as_str(), client.secret.as_str()), (&*name, &*password));
    basic_is_read_alike(&[field.as_bytes()], &headers);
}
