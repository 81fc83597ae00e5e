//! `application/x-www-form-urlencoded`, read strictly from bytes.
//!
//! Lenient readers turn bad UTF-8 into U+FFFD (so that two passwords become one), keep the first or the last of a
//! repeated parameter, and take `%zz` as it stands. Here each is an error.

use std::collections::HashMap;

/// The largest number of parameters that is looked at.
const MOST: usize = 100;

/// Why a body is not a form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadForm {
    /// A `%` is not followed by two hexadecimal digits.
    #[error("the form has a % that is not followed by two hexadecimal digits")]
    PercentEncoding,
    /// What the encoding stands for is not UTF-8.
    #[error("the form is not UTF-8")]
    Utf8,
    /// A parameter is there twice (RFC 6749 §3.2: it MUST NOT be).
    #[error("a parameter is there twice: {0}")]
    Repeated(String),
    /// There are more parameters than anybody needs.
    #[error("the form has more than {MOST} parameters")]
    TooMany,
}

/// Reads a form: each parameter once. A parameter without a value counts as absent (RFC 6749 §3.2).
pub fn parse(body: &[u8]) -> Result<HashMap<String, String>, BadForm> {
    let mut form = parse_with_blanks(body)?;
    form.retain(|_, value| !value.is_empty());
    Ok(form)
}

/// Reads a form: each parameter once, also one without a value.
pub fn parse_with_blanks(body: &[u8]) -> Result<HashMap<String, String>, BadForm> {
    let mut form = HashMap::new();
    let mut seen = 0;
    for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        seen += 1;
        if seen > MOST {
            return Err(BadForm::TooMany);
        }
        let equals = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let name = decode(&pair[..equals])?;
        let value = decode(pair.get(equals + 1..).unwrap_or_default())?;
        if form.contains_key(&name) {
            return Err(BadForm::Repeated(name));
        }
        form.insert(name, value);
    }
    Ok(form)
}

/// Undoes the encoding of one name or value.
pub fn decode(encoded: &[u8]) -> Result<String, BadForm> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(*digit).to_digit(16));
                let (high, low) = (digit(), digit());
                let value = high.zip(low).map(|(high, low)| high * 16 + low);
                value.and_then(|value| u8::try_from(value).ok()).ok_or(BadForm::PercentEncoding)?
            }
            plain => *plain,
        });
    }
    String::from_utf8(bytes).map_err(|_| BadForm::Utf8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(body: &str) -> Option<String> {
        parse(body.as_bytes()).unwrap().remove("a")
    }

    #[test]
    fn reads_what_browsers_send() {
        assert_eq!(value("a=caf%C3%A9+au%20lait&b=2").as_deref(), Some("caf\u{e9} au lait"));
        assert_eq!(value("a=1=2&&"), Some("1=2".to_owned()));
        assert_eq!((value("a="), value("a"), value("")), (None, None, None));
    }

    #[test]
    fn refuses_what_is_ambiguous() {
        assert_eq!(parse(b"a=1&a=2"), Err(BadForm::Repeated("a".to_owned())));
        assert_eq!(parse(b"a=&%61=2"), Err(BadForm::Repeated("a".to_owned())));
        for bad in [&b"a=%"[..], b"a=%4", b"a=%zz", b"a=%+1"] {
            assert_eq!(parse(bad), Err(BadForm::PercentEncoding));
        }
        assert_eq!(parse(b"a=%ff"), Err(BadForm::Utf8));
        assert_eq!(parse("x=1&y=1&".repeat(51).as_bytes()), Err(BadForm::Repeated("x".to_owned())));
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&body);
        }
    }
}
