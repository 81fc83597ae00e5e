//! What each layer says, by dotted key: the later one wins, and who set what is remembered.
//!
//! The defaults, written as TOML, are the catalogue of the keys and of their types. All the layers are put together
//! first and read as a [`Config`] once: a value that a stronger layer replaces need not be right.

use std::collections::{BTreeMap, BTreeSet};

use toml::{
    Table, Value,
    de::{DeTable, DeValue},
};

use super::{
    Config, ConfigError, Source,
    nearest::nearest,
    values::{like, read_as, same_type, shown},
};

/// It belongs to the first start, is a secret, and has no business among settings.
const NOT_A_KEY: &str = "DAYPASS_ADMIN_PASSWORD";

/// What hosting platforms set; weaker than our own name for it.
const DATABASE_URL: &str = "DATABASE_URL";

/// All keys with what they are set to. No `Debug`: it holds the database's password.
pub(super) struct Layers(BTreeMap<String, Entry>);

struct Entry {
    value: Value,
    source: Source,
}

impl Layers {
    /// The lowest layer.
    pub(super) fn defaults() -> Result<Self, ConfigError> {
        let mut entries = BTreeMap::new();
        flatten("", Table::try_from(Config::default())?, &mut entries);
        Ok(Self(entries))
    }

    /// Lays a file over it.
    pub(super) fn file(&mut self, name: &str, text: &str) -> Result<(), ConfigError> {
        let origin = |line| Source::File { name: name.to_owned(), line };
        let not_toml = |error: toml::de::Error| ConfigError::Syntax {
            origin: origin(line_of(text, error.span().map_or(0, |span| span.start))),
            message: error.message().to_owned(),
        };
        let mut lines = BTreeMap::new();
        note_lines("", DeTable::parse(text).map_err(not_toml)?.get_ref(), text, &mut lines);
        let table = toml::from_str(text).map_err(not_toml)?;
        self.section("", table, &|key| origin(lines.get(key).copied().unwrap_or(1)))
    }

    fn section(&mut self, section: &str, table: Table, origin: &dyn Fn(&str) -> Source) -> Result<(), ConfigError> {
        for (name, value) in table {
            let key = join(section, &name);
            match value {
                Value::Table(table) if self.is_section(&key) => self.section(&key, table, origin)?,
                value => self.set(&key, value, origin(&key))?,
            }
        }
        Ok(())
    }

    /// Lays the environment over it.
    pub(super) fn environment(&mut self, variables: impl Iterator<Item = (String, String)>) -> Result<(), ConfigError> {
        let keys: BTreeMap<String, String> = self.0.keys().map(|key| (variable_of(key), key.clone())).collect();
        // In alphabetical order DATABASE_URL comes before every DAYPASS_ name, and so is the weaker one.
        let variables: BTreeMap<String, String> = variables.filter(|(name, _)| is_ours(name)).collect();
        for (name, text) in variables {
            let key = if name == DATABASE_URL { Some("database_url") } else { keys.get(&name).map(String::as_str) };
            let Some(key) = key else {
                let similar = nearest(&name, keys.keys().map(String::as_str)).map(str::to_owned);
                return Err(ConfigError::UnknownVariable { name, similar });
            };
            self.set_text(key, &text, Source::Environment(name))?;
        }
        Ok(())
    }

    /// Lays the flags over it: dotted key, flag as it is typed, value.
    pub(super) fn flags(&mut self, flags: &[(&str, &str, String)]) -> Result<(), ConfigError> {
        flags.iter().try_for_each(|(key, flag, text)| self.set_text(key, text, Source::Flag((*flag).to_owned())))
    }

    fn set(&mut self, key: &str, value: Value, origin: Source) -> Result<(), ConfigError> {
        if self.is_section(key) {
            return Err(bad_value(key, format!("a section, [{key}]"), shown(&value), origin));
        }
        let Some(entry) = self.0.get_mut(key) else { return Err(self.unknown(key, origin)) };
        if !same_type(&entry.value, &value) {
            return Err(bad_value(key, like(&entry.value), shown(&value), origin));
        }
        *entry = Entry { value, source: origin };
        Ok(())
    }

    /// As [`Self::set`], from text that is to be read as the type that the key has.
    fn set_text(&mut self, key: &str, text: &str, origin: Source) -> Result<(), ConfigError> {
        let Some(entry) = self.0.get(key) else { return Err(self.unknown(key, origin)) };
        let Some(value) = read_as(&entry.value, text) else {
            return Err(bad_value(key, like(&entry.value), shown(&Value::String(text.to_owned())), origin));
        };
        self.set(key, value, origin)
    }

    /// Reads all of it as a configuration; whether the values are allowed is not asked yet.
    pub(super) fn config(&self) -> Result<Config, ConfigError> {
        let read = serde_path_to_error::deserialize::<_, Config>(Value::Table(self.nested()));
        read.map_err(|error| {
            let path = error.path().to_string();
            let key = path.split('[').next().unwrap_or(&path);
            self.bad(key, self.right(key, error.inner().message()))
        })
    }

    /// Serde says "invalid type: …, expected …" of everything it reads; what it expected is what would be right.
    fn right(&self, key: &str, message: &str) -> String {
        match self.0.get(key).and_then(|entry| entry.value.as_integer()) {
            Some(..0) => "0 or more".to_owned(),
            Some(_) => format!("at most {}", u32::MAX),
            None => message.rsplit_once(", expected ").map_or(message, |(_, right)| right).replace('`', "\""),
        }
    }

    /// The complaint about a value that is set, with the source it has.
    pub(super) fn bad(&self, key: &str, right: String) -> ConfigError {
        match self.0.get(key) {
            Some(entry) => bad_value(key, right, shown(&entry.value), entry.source.clone()),
            None => bad_value(key, right, "not".to_owned(), Source::Default),
        }
    }

    /// Who set each key.
    pub(super) fn sources(self) -> BTreeMap<String, Source> {
        self.0.into_iter().map(|(key, entry)| (key, entry.source)).collect()
    }

    fn nested(&self) -> Table {
        let mut root = Table::new();
        for (key, entry) in &self.0 {
            let mut path: Vec<&str> = key.split('.').collect();
            let Some(name) = path.pop() else { continue };
            put(&mut root, &path, name, entry.value.clone());
        }
        root
    }

    fn is_section(&self, key: &str) -> bool {
        self.0.keys().any(|known| known.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')))
    }

    fn unknown(&self, key: &str, origin: Source) -> ConfigError {
        ConfigError::UnknownKey { key: key.to_owned(), origin, similar: self.similar(key) }
    }

    /// A neighbour with a similar name; else the same name in another section, for a header is easily forgotten.
    fn similar(&self, key: &str) -> Option<String> {
        let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
        let inside = |known: &'_ String| known.strip_prefix(&join(section, "")).map(str::to_owned);
        let rest: BTreeSet<String> = self.0.keys().filter_map(inside).collect();
        let neighbours = rest.iter().filter_map(|rest| rest.split('.').next());
        let elsewhere = || self.0.keys().find(|known| known.ends_with(&format!(".{name}")));
        nearest(name, neighbours).map(str::to_owned).or_else(|| elsewhere().cloned())
    }
}

fn bad_value(key: &str, right: String, value: String, origin: Source) -> ConfigError {
    ConfigError::BadValue { key: key.to_owned(), right, value, origin }
}

fn flatten(section: &str, table: Table, into: &mut BTreeMap<String, Entry>) {
    for (name, value) in table {
        let key = join(section, &name);
        if let Value::Table(table) = value {
            flatten(&key, table, into);
        } else {
            into.insert(key, Entry { value, source: Source::Default });
        }
    }
}

fn put(table: &mut Table, path: &[&str], name: &str, value: Value) {
    let Some((first, rest)) = path.split_first() else {
        table.insert(name.to_owned(), value);
        return;
    };
    let inner = table.entry((*first).to_owned()).or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(inner) = inner {
        put(inner, rest, name, value);
    }
}

fn join(section: &str, name: &str) -> String {
    if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }
}

/// The file is parsed for this a second time: plain values do not know where they stood.
fn note_lines(section: &str, table: &DeTable<'_>, text: &str, into: &mut BTreeMap<String, usize>) {
    for (name, value) in table {
        let key = join(section, name.get_ref());
        if let DeValue::Table(inner) = value.get_ref() {
            note_lines(&key, inner, text, into);
        }
        into.insert(key, line_of(text, name.span().start));
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or(text).matches('\n').count() + 1
}

/// `tokens.session.ttl` → `DAYPASS_TOKENS__SESSION__TTL`.
fn variable_of(key: &str) -> String {
    format!("DAYPASS_{}", key.to_ascii_uppercase().replace('.', "__"))
}

fn is_ours(variable: &str) -> bool {
    variable == DATABASE_URL || (variable.starts_with("DAYPASS_") && variable != NOT_A_KEY)
}
