//! Finding the layers, putting them together, and printing what came of it.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::ErrorKind,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serializer, de::Error, de::Unexpected};

use super::{
    Config, ConfigError, Source,
    layers::{Layers, is_named_like_ours},
    rules, without_password,
};

/// The file that is read when none is named.
const FILE: &str = "daypass.toml";

/// A configuration that obeys every rule, and where each value came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    sources: BTreeMap<String, Source>,
}

/// Reads the environment as text, for [`load`]. A variable of ours that is none is an error, for it was meant to say
/// something; others are nobody's business here.
pub fn environment(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String)>, ConfigError> {
    let mut read = Vec::new();
    for (name, value) in variables {
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => read.push((name, value)),
            (Ok(name), Err(_)) if is_named_like_ours(&name) => return Err(ConfigError::NotText { name }),
            (Err(name), _) if is_named_like_ours(&name.to_string_lossy()) => {
                return Err(ConfigError::NotText { name: name.to_string_lossy().into_owned() });
            }
            (Ok(_), Err(_)) | (Err(_), _) => {}
        }
    }
    Ok(read)
}

/// Puts the layers together: defaults < file < environment < flags.
///
/// A `file` that is named must be there; `None` means `daypass.toml` in the working directory, if there is one. Of the
/// `environment` (pass all of it) only `DATABASE_URL` and what begins with `DAYPASS_` is looked at. A flag is its
/// dotted key, the flag as it is typed (`--listen`), and its value as text.
pub fn load(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    flags: &[(&str, &str, String)],
) -> Result<Loaded, ConfigError> {
    load_beside(file, Path::new(FILE), environment, flags)
}

/// As [`load`], with the place of the file that is read when none is named.
fn load_beside(
    file: Option<&Path>,
    usual: &Path,
    environment: impl Iterator<Item = (String, String)>,
    flags: &[(&str, &str, String)],
) -> Result<Loaded, ConfigError> {
    let path = file.unwrap_or(usual);
    let mut layers = Layers::defaults()?;
    match std::fs::read_to_string(path) {
        Ok(text) => layers.file(&printable(path), &text)?,
        Err(error) if error.kind() == ErrorKind::NotFound && file.is_none() => {}
        Err(error) => return Err(ConfigError::Unreadable { path: PathBuf::from(path), error }),
    }
    layers.environment(environment)?;
    layers.flags(flags)?;
    finish(layers)
}

fn finish(layers: Layers) -> Result<Loaded, ConfigError> {
    let mut config = layers.config()?;
    rules::check(&config).map_err(|broken| layers.bad(&broken.key, broken.right))?;
    // An issuer is compared letter by letter, and paths are put behind it.
    if config.public_url.ends_with('/') {
        config.public_url.pop();
    }
    Ok(Loaded { config, sources: layers.sources() })
}

/// The path as it may stand in a TOML comment, which ends with the line.
fn printable(path: &Path) -> String {
    path.display().to_string().replace(char::is_control, "?")
}

/// As [`load`], with the file's text and without flags.
#[cfg(any(test, fuzzing))]
pub(crate) fn from_text(
    file: &str,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, ConfigError> {
    let mut layers = Layers::defaults()?;
    layers.file(FILE, file)?;
    layers.environment(environment)?;
    finish(layers)
}

#[cfg(test)]
pub(super) fn from_file(text: &str) -> Result<Loaded, ConfigError> {
    from_text(text, std::iter::empty())
}

impl Loaded {
    /// The effective configuration as TOML, each value with a comment that names its source; passwords are hidden.
    pub fn to_toml(&self) -> String {
        match toml::to_string(&self.config) {
            Ok(text) => self.with_sources(&text),
            // Only a number beyond TOML's 63 bits does this, and none comes from a file, the environment or a flag.
            Err(error) => format!("# cannot be shown: {error}\n"),
        }
    }

    /// Every value stands on a line of its own: no rule lets a line break into one.
    fn with_sources(&self, text: &str) -> String {
        let mut section = "";
        let mut out = String::new();
        for line in text.lines() {
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']');
            }
            out.push_str(line);
            if let Some(source) = line.split_once(" = ").and_then(|(name, _)| self.source(section, name)) {
                out.push_str("  # ");
                out.push_str(&source.name());
            }
            out.push('\n');
        }
        out
    }

    fn source(&self, section: &str, name: &str) -> Option<&Source> {
        let key = if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
        self.sources.get(&key)
    }
}

/// For `#[serde(serialize_with)]`: so that no way of writing a configuration shows the password.
pub(super) fn hidden<S: Serializer>(url: &str, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&without_password(url))
}

/// For `#[serde(deserialize_with)]`: serde's own reading does not say what would be right.
pub(super) fn socket_address<'de, D: Deserializer<'de>>(from: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(from)?;
    let right = "an IP address and a port, such as \"127.0.0.1:8000\" or \"[::]:8000\"";
    text.parse().map_err(|_| Error::invalid_value(Unexpected::Str(&text), &right))
}

/// For `#[serde(deserialize_with)]`: as [`socket_address`].
pub(super) fn networks<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
    let right = "a list of networks, such as [\"10.0.0.0/8\", \"::1/128\"]";
    let network = |text: &String| text.parse().map_err(|_| Error::invalid_value(Unexpected::Str(text), &right));
    Vec::<String>::deserialize(from)?.iter().map(network).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{iter::empty, time::Duration};

    #[test]
    fn a_named_file_must_be_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("other.toml");
        let complaint = load(Some(&path), empty(), &[]).unwrap_err().to_string();
        assert!(complaint.starts_with(&format!("cannot read the configuration file {}: ", path.display())));
    }

    #[test]
    fn the_usual_file_is_read_if_it_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let usual = directory.path().join(FILE);
        assert_eq!(load_beside(None, &usual, empty(), &[]).unwrap().config, Config::default());
        std::fs::write(&usual, "tokens.prefix = 'usual'").unwrap();
        assert_eq!(load_beside(None, &usual, empty(), &[]).unwrap().config.tokens.prefix, "usual");
        let named = directory.path().join("named.toml");
        std::fs::write(&named, "tokens.prefix = 'named'").unwrap();
        assert_eq!(load_beside(Some(&named), &usual, empty(), &[]).unwrap().config.tokens.prefix, "named");
    }

    #[test]
    fn a_usual_file_that_cannot_be_read_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(load_beside(None, directory.path(), empty(), &[]), Err(ConfigError::Unreadable { .. })));
    }

    #[test]
    fn a_variable_of_ours_that_is_no_text_is_an_error_and_its_value_is_not_shown() {
        use std::os::unix::ffi::OsStringExt;

        let os = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        let read = |name: &[u8], value: &[u8]| environment([(os(name), os(value))].into_iter());
        for name in ["DAYPASS_LISTEN", "DATABASE_URL", "DAYPASS_ADMIN_PASSWORD"] {
            let complaint = read(name.as_bytes(), b"hunter2\xff").unwrap_err().to_string();
            assert!(complaint.contains(name) && !complaint.contains("hunter2"), "{complaint}");
        }
        assert!(read(b"DAYPASS_\xff", b"x").unwrap_err().to_string().contains("DAYPASS_"));
        assert!(read(b"OTHER", b"\xff").unwrap().is_empty());
        assert_eq!(read(b"OTHER", b"x").unwrap(), [("OTHER".to_owned(), "x".to_owned())]);
    }

    #[test]
    fn all_layers_come_together() {
        let directory = tempfile::tempdir().unwrap();
        let usual = directory.path().join(FILE);
        std::fs::write(&usual, "[check]\nmax_staleness = '5s'\ncache_entries = 5").unwrap();
        let environment = [("DAYPASS_CHECK__CACHE_ENTRIES".to_owned(), "6".to_owned())];
        let flags = [("listen", "--listen", "0.0.0.0:80".to_owned())];
        let loaded = load_beside(None, &usual, environment.into_iter(), &flags).unwrap();
        assert_eq!(loaded.config.check.max_staleness, Duration::from_secs(5));
        assert_eq!(loaded.config.check.cache_entries, 6);
        assert_eq!(loaded.config.listen, "0.0.0.0:80".parse().unwrap());
    }

    #[test]
    fn a_broken_rule_is_told_with_value_and_source() {
        assert_eq!(
            from_file("\n[tokens]\nprefix = 'DP'").unwrap_err().to_string(),
            "tokens.prefix must be 2 to 8 lower-case letters from a to z, but is \"DP\" (daypass.toml, line 3)"
        );
        assert_eq!(
            from_file("tokens.session.max_lifetime = '5h'").unwrap_err().to_string(),
            "tokens.session.ttl must be from \"1s\" to tokens.session.max_lifetime, which is \"5h\", \
             but is \"10h\" (default)"
        );
    }

    #[test]
    fn a_complaint_never_shows_the_database_password() {
        for text in [
            "database_url = 'oracle://u:hunter2@h/d'",
            "database_url = 'u:hunter2@h/d'",
            "database_url = ['postgres://u:hunter2@h/d']",
            "database_url = 'postgres://u:hunter2@h/d",
            "public_url = 'postgres://u:hunter2@h/d'",
            "database.url = 'postgres://u:hunter2@h/d'",
            "[database_url]\nx = 'postgres://u:hunter2@h/d'",
        ] {
            let error = from_file(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
        let environment = [("DATABASE_URL".to_owned(), "oracle://u:hunter2@h/d".to_owned())];
        let error = load_beside(None, Path::new("/no/such"), environment.into_iter(), &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "database_url must be a URL that begins with sqlite:, postgres://, postgresql://, mysql:// or mariadb://, \
             but is \"oracle://u:***@h/d\" (environment DATABASE_URL)"
        );
    }

    #[test]
    fn the_slash_behind_the_public_url_is_dropped() {
        assert_eq!(from_file("public_url = 'https://x/'").unwrap().config.public_url, "https://x");
    }

    #[test]
    fn the_effective_configuration_names_its_sources_and_hides_passwords() {
        let directory = tempfile::tempdir().unwrap();
        let usual = directory.path().join("two\nlines.toml");
        std::fs::write(&usual, "[tokens.api]\nttl = '2160h'").unwrap();
        let environment = [
            ("DATABASE_URL".to_owned(), "postgres://u:hunter2@h/d".to_owned()),
            ("DAYPASS_TRUSTED_PROXIES".to_owned(), "10.0.0.0/8,::1/128".to_owned()),
        ];
        let flags = [("listen", "--listen", "0.0.0.0:80".to_owned())];
        let loaded = load_beside(None, &usual, environment.into_iter(), &flags).unwrap();
        let text = loaded.to_toml();
        let file = directory.path().join("two?lines.toml");
        for line in [
            "listen = \"0.0.0.0:80\"  # flag --listen",
            "public_url = \"\"  # default",
            "database_url = \"postgres://u:***@h/d\"  # environment DATABASE_URL",
            "trusted_proxies = [\"10.0.0.0/8\", \"::1/128\"]  # environment DAYPASS_TRUSTED_PROXIES",
            &format!("ttl = \"90d\"  # {}", file.display()),
            "max_body = \"64KiB\"  # default",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
        }
        assert!(text.parse::<toml::Table>().is_ok());
        assert!(!format!("{text} {loaded:?}").contains("hunter2"));
    }

    #[test]
    fn every_value_that_is_shown_has_a_source() {
        let loaded = from_file("").unwrap();
        let text = loaded.to_toml();
        let values = text.lines().filter(|line| !line.is_empty() && !line.starts_with('['));
        assert_eq!(values.clone().count(), loaded.sources.len());
        assert!(values.clone().all(|line| line.ends_with("  # default")), "{text}");
    }
}
