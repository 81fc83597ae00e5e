//! The `daypass` program; see [`daypass::cli`].

use std::process::ExitCode;

/// Chosen by measurement: see `Cargo.toml`, at the release profile.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    daypass::cli::main()
}
