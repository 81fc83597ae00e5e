//! Commands that only print a document.

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::Shell;

use super::{Cli, Common, Failure, print};
use crate::api::openapi;

#[derive(Debug, Args)]
pub(super) struct Openapi {
    /// The format
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Json,
    Yaml,
}

impl Openapi {
    pub(super) fn run(self) {
        match self.format {
            Format::Json => print::text(openapi::json()),
            Format::Yaml => print::text(openapi::yaml()),
        }
    }
}

/// Prints the effective configuration; as TOML it says where each value is from.
pub(super) fn config(common: &Common) -> Result<(), Failure> {
    let toml = common.load(&[])?.to_toml();
    if common.json {
        let values: serde_json::Value = toml::from_str(&toml).map_err(|error| Failure::Other(error.to_string()))?;
        print::line(format_args!("{values:#}"));
    } else {
        print::text(toml);
    }
    Ok(())
}

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "daypass", &mut script);
        print::text(String::from_utf8_lossy(&script));
    }
}
