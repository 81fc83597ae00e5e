//! Writing one JSON object, member by member, into one piece of memory.
//!
//! For the check's answer, where a general serializer would be a good part of the work: almost all of its texts are made of
//! characters that JSON takes as they are.

use std::{fmt::Display, io::Write};

use entity::Timestamp;
use uuid::Uuid;

/// An object that is being written.
pub struct ObjectWriter<'a>(&'a mut Vec<u8>);

impl<'a> ObjectWriter<'a> {
    /// An object without members yet, after whatever is there already.
    pub fn begin(text: &'a mut Vec<u8>) -> Self {
        text.push(b'{');
        Self(text)
    }

    fn key(&mut self, key: &str) {
        if self.0.last() != Some(&b'{') {
            self.0.push(b',');
        }
        self.0.push(b'"');
        self.0.extend_from_slice(key.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    /// A member that is JSON already.
    pub fn bare(&mut self, key: &str, json: &str) {
        self.key(key);
        self.0.extend_from_slice(json.as_bytes());
    }

    /// A text without characters that JSON would have to escape.
    pub fn plain(&mut self, key: &str, text: &str) {
        self.quoted(key, text.as_bytes());
    }

    fn quoted(&mut self, key: &str, text: &[u8]) {
        self.key(key);
        self.0.push(b'"');
        self.0.extend_from_slice(text);
        self.0.push(b'"');
    }

    /// A text of any characters, if there is one.
    pub fn free(&mut self, key: &str, text: Option<&str>) {
        self.key(key);
        // Writing to memory does not fail.
        let _ = serde_json::to_writer(&mut *self.0, &text);
    }

    /// Words separated by spaces, as a list. JSON would have to escape nothing in them: scopes hold neither quotation mark
    /// nor backslash (RFC 6749 §3.3).
    pub fn words(&mut self, key: &str, words: &str) {
        self.key(key);
        self.0.push(b'[');
        for (number, word) in words.split_ascii_whitespace().enumerate() {
            self.0.extend_from_slice(if number == 0 { b"\"" } else { b",\"" });
            self.0.extend_from_slice(word.as_bytes());
            self.0.push(b'"');
        }
        self.0.push(b']');
    }

    /// An id.
    pub fn id(&mut self, key: &str, id: Uuid) {
        self.plain(key, id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    }

    /// An instant, if there is one.
    pub fn time(&mut self, key: &str, time: Option<Timestamp>) {
        match time {
            Some(time) => self.quoted(key, time.text().as_bytes()),
            None => self.bare(key, "null"),
        }
    }

    /// A number, if there is one.
    pub fn number(&mut self, key: &str, number: Option<i64>) {
        self.key(key);
        match number {
            Some(number) => write_number(self.0, number),
            None => self.0.extend_from_slice(b"null"),
        }
    }

    /// Begins an object within this one.
    pub fn open(&mut self, key: &str) {
        self.bare(key, "{");
    }

    /// Ends the innermost object.
    pub fn close(&mut self) {
        self.0.push(b'}');
    }
}

/// In decimal.
pub fn write_number(text: &mut Vec<u8>, number: impl Display) {
    // Writing to memory does not fail.
    let _ = write!(text, "{number}");
}
