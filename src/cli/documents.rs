//! Commands that only print a document.

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::Shell;

use super::Cli;
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
            Format::Json => print!("{}", openapi::json()),
            Format::Yaml => print!("{}", openapi::yaml()),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) {
        clap_complete::generate(self.shell, &mut Cli::command(), "daypass", &mut std::io::stdout());
    }
}
