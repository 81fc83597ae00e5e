//! What was wrong with the configuration, as the operator reads it at night: which key, from where, what it is, and
//! what would be right. No message holds a database password.

use std::{fmt, path::PathBuf};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Built in.
    Default,
    /// A configuration file.
    File {
        /// Its path as it was given.
        name: String,
        /// The line that sets the value, from 1.
        line: usize,
    },
    /// An environment variable, by name.
    Environment(String),
    /// A flag as it is typed, with its dashes.
    Flag(String),
}

impl Source {
    /// Its name without the line: lines move while a file is edited, and `daypass config` is kept and compared.
    pub fn name(&self) -> String {
        match self {
            Self::File { name, .. } => name.clone(),
            Self::Default | Self::Environment(_) | Self::Flag(_) => self.to_string(),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { name, line } => write!(f, "{name}, line {line}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there, may not be read or is not text.
    #[error("cannot read the configuration file {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{origin}: this is not TOML: {message}")]
    Syntax {
        /// The file and line.
        origin: Source,
        /// What the parser said, without the line itself: that may hold a password.
        message: String,
    },
    /// The file or a flag sets what does not exist.
    #[error("unknown key `{key}` in {origin}{}", did_you_mean(similar.as_deref()))]
    UnknownKey {
        /// The dotted key.
        key: String,
        /// Who sets it.
        origin: Source,
        /// An existing key that looks like it.
        similar: Option<String>,
    },
    /// A `DAYPASS_` variable names nothing.
    #[error("environment {name} names no key{}", variable_hint(name, similar.as_deref()))]
    UnknownVariable {
        /// The variable.
        name: String,
        /// An existing one that looks like it.
        similar: Option<String>,
    },
    /// A `DAYPASS_` variable is no text; what it is may be a secret, and is not shown.
    #[error("environment {name} is not UTF-8")]
    NotText {
        /// The variable.
        name: String,
    },
    /// A value of the wrong type, form or size.
    #[error("{key} must be {right}, but is {value} ({origin})")]
    BadValue {
        /// The dotted key.
        key: String,
        /// What would be right.
        right: String,
        /// What it is, as it was written, passwords hidden.
        value: String,
        /// Who set it.
        origin: Source,
    },
    /// The built-in defaults cannot be written as TOML: a mistake in Daypass, which a test would show.
    #[error("the built-in defaults are broken: {0}")]
    Defaults(#[from] toml::ser::Error),
}

fn did_you_mean(similar: Option<&str>) -> String {
    similar.map(|similar| format!(" (did you mean `{similar}`?)")).unwrap_or_default()
}

/// In a cluster the mistake is usually not the operator's: Kubernetes puts `NAME_PORT` and `NAME_SERVICE_HOST` into
/// every pod beside a service called NAME, so one called `daypass` looks like settings to us.
fn variable_hint(name: &str, similar: Option<&str>) -> String {
    let of_kubernetes = ["DAYPASS_SERVICE_HOST", "DAYPASS_SERVICE_PORT", "DAYPASS_PORT"];
    if of_kubernetes.iter().any(|known| name.starts_with(known)) {
        return " (Kubernetes sets it for a service called daypass: set `enableServiceLinks: false` on the pod)".into();
    }
    did_you_mean(similar)
}
