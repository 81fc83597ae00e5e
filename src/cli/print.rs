//! How data is printed: as a table for people, as JSON for programs.

use std::{
    fmt::Display,
    io::{ErrorKind, Write},
    process::exit,
};

use poem_openapi::types::ToJSON;
use serde_json::Value;

/// What a shell tells of a program that wrote to a pipe that nobody reads any more, as most end there by themselves.
const NOBODY_READS: i32 = 128 + 13;

/// Prints text as it is. Whoever reads it may have seen enough, as `head` has: then the program ends, and says nothing.
pub(super) fn text(text: impl Display) {
    let mut out = std::io::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => exit(NOBODY_READS),
        Err(error) => {
            note(format_args!("daypass: cannot write to standard output: {error}"));
            exit(1);
        }
    }
}

/// Prints a line.
pub(super) fn line(line: impl Display) {
    text(format_args!("{line}\n"));
}

/// Tells people something beside what is printed. What nobody can read stops nothing.
pub(super) fn note(note: impl Display) {
    drop(writeln!(std::io::stderr(), "{note}"));
}

/// Prints one JSON document.
pub(super) fn json(value: &impl ToJSON) {
    line(format_args!("{:#}", value.to_json().unwrap_or(Value::Null)));
}

/// Prints rows under a head, each column as wide as its widest cell.
pub(super) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let row = |cells: [&str; N]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        line(padded.collect::<Vec<_>>().join("  ").trim_end());
    };
    row(head);
    for cells in rows {
        row(cells.each_ref().map(String::as_str));
    }
}
