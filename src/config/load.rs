//! Finding the layers, putting them together, and printing what came of it.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serializer, de::Error, de::Unexpected};

use super::{Config, ConfigError, Source, layers::Layers, rules, without_password};

/// The file that is read when none is named.
const FILE: &str = "daypass.toml";

/// A configuration that obeys every rule, and where each value came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    sources: BTreeMap<String, Source>,
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
