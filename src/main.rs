//! The `daypass` program; see [`daypass::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    daypass::cli::main()
}
