//! Writing one JSON object, member by member, into one piece of memory.
//!
//! For the check's answer, where a general serializer would be a good part of the work: almost all of its texts are made of
//! characters that JSON takes as they are.

use entity::Timestamp;
use uuid::Uuid;

/// An object that is being written.
pub struct Object(pub String);

impl Object {
    /// An object without members yet, with room for those of a token.
    pub fn new() -> Self {
        let mut text = String::with_capacity(768);
        text.push('{');
        Self(text)
    }

    fn key(&mut self, key: &str) {
        if !self.0.ends_with('{') {
            self.0.push(',');
        }
        self.0.push('"');
        self.0.push_str(key);
        self.0.push_str("\":");
    }

    /// A member that is JSON already.
    pub fn bare(&mut self, key: &str, json: &str) {
        self.key(key);
        self.0.push_str(json);
    }

    /// A text without characters that JSON would have to escape.
    pub fn plain(&mut self, key: &str, text: &str) {
        self.key(key);
        self.0.push('"');
        self.0.push_str(text);
        self.0.push('"');
    }

    /// A text of any characters, if there is one.
    pub fn free(&mut self, key: &str, text: Option<&str>) {
        match text {
            Some(text) => self.bare(key, &serde_json::Value::from(text).to_string()),
            None => self.bare(key, "null"),
        }
    }

    /// Words separated by spaces, as a list. Scopes may hold characters that have to be escaped in none of them
    /// (RFC 6749 §3.3 leaves out the quotation mark and the backslash).
    pub fn words(&mut self, key: &str, words: &str) {
        self.key(key);
        self.0.push('[');
        for (number, word) in words.split(' ').filter(|word| !word.is_empty()).enumerate() {
            self.0.push_str(if number == 0 { "\"" } else { ",\"" });
            self.0.push_str(word);
            self.0.push('"');
        }
        self.0.push(']');
    }

    /// An id.
    pub fn id(&mut self, key: &str, id: Uuid) {
        self.plain(key, id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    }

    /// An instant, if there is one.
    pub fn time(&mut self, key: &str, time: Option<Timestamp>) {
        match time {
            Some(time) => self.plain(key, time.text().as_str()),
            None => self.bare(key, "null"),
        }
    }

    /// A number, if there is one.
    pub fn number(&mut self, key: &str, number: Option<i64>) {
        match number {
            Some(number) => self.bare(key, &number.to_string()),
            None => self.bare(key, "null"),
        }
    }

    /// Begins an object within this one.
    pub fn open(&mut self, key: &str) {
        self.bare(key, "{");
    }

    /// Ends the innermost object.
    pub fn close(&mut self) {
        self.0.push('}');
    }
}
