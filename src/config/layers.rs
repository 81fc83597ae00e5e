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
            // Quoted, `"log.level"` is one name, and not the key that it looks like.
            if name.contains('.') {
                return Err(self.unknown(&join(section, &format!("{name:?}")), origin(&key)));
            }
            if !self.is_section(&key) {
                self.set(&key, value, origin(&key))?;
                continue;
            }
            let Value::Table(inner) = value else {
                return Err(bad_value(&key, format!("a section, [{key}]"), shown(&value), origin(&key)));
            };
            self.section(&key, inner, origin)?;
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
    is_named_like_ours(variable) && variable != NOT_A_KEY
}

pub(super) fn is_named_like_ours(variable: &str) -> bool {
    variable == DATABASE_URL || variable.starts_with("DAYPASS_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str, &str)]) -> Result<Layers, ConfigError> {
        let mut layers = Layers::defaults()?;
        layers.file("daypass.toml", file)?;
        layers.environment(environment.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())))?;
        let flags: Vec<_> = flags.iter().map(|(key, flag, text)| (*key, *flag, (*text).to_owned())).collect();
        layers.flags(&flags)?;
        Ok(layers)
    }

    fn complaint(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str, &str)]) -> String {
        let config = layers(file, environment, flags).and_then(|layers| layers.config());
        config.unwrap_err().to_string()
    }

    fn config(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str, &str)]) -> Config {
        layers(file, environment, flags).unwrap().config().unwrap()
    }

    #[test]
    fn without_layers_there_are_the_defaults() {
        assert_eq!(config("", &[], &[]), Config::default());
    }

    #[test]
    fn flags_beat_environment_beats_file_beats_defaults() {
        let file = "listen = '127.0.0.1:1'\npublic_url = 'http://file'\n[log]\nlevel = 'warn'";
        let environment = [("DAYPASS_LISTEN", "127.0.0.1:2"), ("DAYPASS_PUBLIC_URL", "http://environment")];
        let layers = layers(file, &environment, &[("listen", "--listen", "127.0.0.1:3")]).unwrap();
        let config = layers.config().unwrap();
        assert_eq!(config.listen.port(), 3);
        assert_eq!(config.public_url, "http://environment");
        assert_eq!(config.log.level, super::super::LogLevel::Warn);
        let sources = layers.sources();
        assert_eq!(sources["listen"].to_string(), "flag --listen");
        assert_eq!(sources["public_url"].to_string(), "environment DAYPASS_PUBLIC_URL");
        assert_eq!(sources["log.level"].to_string(), "daypass.toml, line 4");
        assert_eq!(sources["log.format"].to_string(), "default");
    }

    #[test]
    fn a_bad_value_that_a_stronger_layer_replaces_does_no_harm() {
        let config = config("listen = 'here'", &[("DAYPASS_LISTEN", "127.0.0.1:2")], &[]);
        assert_eq!(config.listen.port(), 2);
    }

    #[test]
    fn sections_in_the_environment_are_parted_by_two_underscores() {
        let session = config("", &[("DAYPASS_TOKENS__SESSION__TTL", "1h")], &[]).tokens.session;
        assert_eq!(session.ttl, std::time::Duration::from_hours(1));
    }

    #[test]
    fn the_environment_is_read_by_the_type_of_the_key() {
        let environment = [
            ("DAYPASS_TRUSTED_PROXIES", "10.0.0.0/8, ::1/128"),
            ("DAYPASS_CHECK__CACHE_ENTRIES", "0"),
            ("DAYPASS_OAUTH__PASSWORD_GRANT", "true"),
        ];
        let config = config("", &environment, &[]);
        assert_eq!(config.trusted_proxies, ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
        assert_eq!(config.check.cache_entries, 0);
        assert!(config.oauth.password_grant);
    }

    #[test]
    fn an_empty_variable_is_a_value() {
        let file = "trusted_proxies = ['10.0.0.0/8']\ncheck.stale_if_error = '1m'";
        let config = config(file, &[("DAYPASS_TRUSTED_PROXIES", ""), ("DAYPASS_CHECK__STALE_IF_ERROR", "")], &[]);
        assert!(config.trusted_proxies.is_empty());
        assert_eq!(config.check.stale_if_error, None);
        assert_eq!(
            complaint("", &[("DAYPASS_CHECK__CACHE_ENTRIES", "")], &[]),
            "check.cache_entries must be a whole number, such as 1000000, but is \"\" \
             (environment DAYPASS_CHECK__CACHE_ENTRIES)"
        );
    }

    #[test]
    fn our_name_for_the_database_url_beats_the_common_one() {
        let both = [("DAYPASS_DATABASE_URL", "sqlite://ours.db"), ("DATABASE_URL", "sqlite://common.db")];
        assert_eq!(config("", &both, &[]).database_url, "sqlite://ours.db");
        let config = config("database_url = 'sqlite://file.db'", &both[1..], &[]);
        assert_eq!(config.database_url, "sqlite://common.db");
    }

    #[test]
    fn other_variables_and_the_first_password_are_passed_over() {
        let environment = [("PATH", "/bin"), ("DAYPASS", "x"), ("DAYPASS_ADMIN_PASSWORD", "hunter2")];
        assert_eq!(config("", &environment, &[]), Config::default());
    }

    #[test]
    fn an_unknown_variable_is_named() {
        assert_eq!(
            complaint("", &[("DAYPASS_LISTNE", "127.0.0.1:1")], &[]),
            "environment DAYPASS_LISTNE names no key (did you mean `DAYPASS_LISTEN`?)"
        );
        assert_eq!(
            complaint("", &[("DAYPASS_TOKENS_SESSION_TTL", "1h")], &[]),
            "environment DAYPASS_TOKENS_SESSION_TTL names no key (did you mean `DAYPASS_TOKENS__SESSION__TTL`?)"
        );
        assert_eq!(complaint("", &[("DAYPASS_X", "")], &[]), "environment DAYPASS_X names no key");
        assert_eq!(complaint("", &[("DAYPASS_TOKENS", "")], &[]), "environment DAYPASS_TOKENS names no key");
        assert!(complaint("", &[("DAYPASS_listen", "")], &[]).contains("DAYPASS_listen names no key"));
    }

    #[test]
    fn variables_that_kubernetes_makes_are_explained() {
        for name in ["DAYPASS_PORT", "DAYPASS_PORT_8000_TCP_ADDR", "DAYPASS_SERVICE_HOST", "DAYPASS_SERVICE_PORT"] {
            let complaint = complaint("", &[(name, "tcp://10.0.0.1:8000")], &[]);
            assert!(complaint.contains(name) && complaint.contains("enableServiceLinks: false"), "{complaint}");
        }
    }

    #[test]
    fn an_unknown_key_is_named_with_the_one_that_was_meant() {
        for (file, expected) in [
            (
                "[maintenance]\nbatchsize = 1",
                "unknown key `maintenance.batchsize` in daypass.toml, line 2 (did you mean `batch_size`?)",
            ),
            ("[maintenace]", "unknown key `maintenace` in daypass.toml, line 1 (did you mean `maintenance`?)"),
            (
                "keep_runs = '1d'",
                "unknown key `keep_runs` in daypass.toml, line 1 (did you mean `maintenance.keep_runs`?)",
            ),
            ("'log.level' = 'warn'", "unknown key `\"log.level\"` in daypass.toml, line 1"),
            ("\ncolour = 1", "unknown key `colour` in daypass.toml, line 2"),
            (
                "listen.port = 1",
                "listen must be a string, such as \"127.0.0.1:8000\", but is a section (daypass.toml, line 1)",
            ),
        ] {
            assert_eq!(complaint(file, &[], &[]), expected);
        }
        assert_eq!(
            complaint("", &[], &[("lisen", "--lisen", "")]),
            "unknown key `lisen` in flag --lisen (did you mean `listen`?)"
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused() {
        for (file, expected) in [
            (
                "listen = 8000",
                "listen must be a string, such as \"127.0.0.1:8000\", but is 8000 (daypass.toml, line 1)",
            ),
            (
                "[tokens.session]\nttl = 600",
                "tokens.session.ttl must be a string, such as \"10h\", but is 600 (daypass.toml, line 2)",
            ),
            (
                "oauth.password_grant = 'yes'",
                "oauth.password_grant must be true or false, but is \"yes\" (daypass.toml, line 1)",
            ),
            (
                "trusted_proxies = '::1/128'",
                "trusted_proxies must be a list of strings, but is \"::1/128\" (daypass.toml, line 1)",
            ),
            ("trusted_proxies = [1]", "trusted_proxies must be a list of strings, but is [1] (daypass.toml, line 1)"),
            (
                "check.cache_entries = 1.5",
                "check.cache_entries must be a whole number, such as 1000000, but is 1.5 (daypass.toml, line 1)",
            ),
            (
                "database = 'postgres://u:hunter2@h/d'",
                "database must be a section, [database], but is \"postgres://u:***@h/d\" (daypass.toml, line 1)",
            ),
            ("[[tokens]]", "tokens must be a section, [tokens], but is [a section] (daypass.toml, line 1)"),
        ] {
            assert_eq!(complaint(file, &[], &[]), expected);
        }
    }

    #[test]
    fn a_value_of_the_wrong_form_is_refused() {
        let duration = "a duration of at most 100 years, such as \"10h\", \"90d\" or \"500ms\"";
        for (name, text, expected) in [
            (
                "LISTEN",
                "localhost",
                "listen must be an IP address and a port, such as \"127.0.0.1:8000\" or \"[::]:8000\"",
            ),
            (
                "TRUSTED_PROXIES",
                "::1/128,10.0.0.1",
                "trusted_proxies must be a list of networks, such as [\"10.0.0.0/8\", \"::1/128\"]",
            ),
            ("TOKENS__SESSION__TTL", "10 parsecs", &format!("tokens.session.ttl must be {duration}")),
            ("CHECK__STALE_IF_ERROR", "x", &format!("check.stale_if_error must be \"\" for none, or {duration}")),
            ("MAINTENANCE__RETAIN_EXPIRED", "-1s", &format!("maintenance.retain_expired must be {duration}")),
            ("LIMITS__MAX_BODY", "64KB", "limits.max_body must be a size in B, KiB, MiB or GiB, such as \"64KiB\""),
            ("TOKENS__API__AT_LIMIT", "evict", "tokens.api.at_limit must be \"refuse\" or \"evict_oldest\""),
            ("DATABASE__SQLITE_DURABILITY", "off", "database.sqlite_durability must be \"full\" or \"normal\""),
            ("LOG__FORMAT", "xml", "log.format must be one of \"auto\", \"text\", \"json\""),
            ("LOG__LEVEL", "loud", "log.level must be one of \"error\", \"warn\", \"info\", \"debug\", \"trace\""),
            ("TOKENS__API__PER_USER_LIMIT", "-1", "tokens.api.per_user_limit must be 0 or more"),
            ("TOKENS__API__PER_USER_LIMIT", "4294967296", "tokens.api.per_user_limit must be at most 4294967295"),
        ] {
            let complaint = complaint("", &[(&format!("DAYPASS_{name}"), text)], &[]);
            assert!(complaint.starts_with(&format!("{expected}, but is ")), "{complaint}");
            assert!(complaint.ends_with(&format!("(environment DAYPASS_{name})")), "{complaint}");
        }
    }

    #[test]
    fn what_is_not_toml_is_refused_without_showing_the_line() {
        let complaint = complaint("listen = '[::1]:1'\ndatabase_url = \"postgres://u:hunter2@h/d", &[], &[]);
        assert!(complaint.starts_with("daypass.toml, line 2: this is not TOML: "), "{complaint}");
        assert!(!complaint.contains("hunter2"), "{complaint}");
    }

    #[test]
    fn a_flag_is_named_in_a_complaint() {
        assert_eq!(
            complaint("", &[], &[("check.cache_entries", "--cache-entries", "many")]),
            "check.cache_entries must be a whole number, such as 1000000, but is \"many\" (flag --cache-entries)"
        );
    }
}
