//! What holds for any input whatever, a file for each parser of what strangers and operators write.
//!
//! cargo-fuzz calls these from fuzz/targets with inputs that it makes up (`tests/long fuzz`); the test below calls them with
//! the corpora that it leaves behind, so that neither can rot. Each panics where something does not hold.
#![expect(clippy::expect_used, reason = "to panic is what they are for")]

mod authorization;
mod configuration;
mod form;
mod token;

pub use authorization::authorization;
pub use configuration::configuration;
pub use form::form;
pub use token::token;

/// The input up to a separator, and what follows it.
fn cut(input: &[u8], separator: u8) -> (&[u8], &[u8]) {
    match input.iter().position(|byte| *byte == separator) {
        Some(at) => (&input[..at], &input[at + 1..]),
        None => (input, &[]),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, panic, path::Path};

    fn holds_for_the_corpus(name: &str, holds: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
        assert!(files.len() >= 10, "there is next to nothing in {}", folder.display());
        for file in files {
            let input = fs::read(&file).unwrap();
            assert!(panic::catch_unwind(|| holds(&input)).is_ok(), "{} does not hold", file.display());
        }
    }

    #[test]
    fn holds_for_the_corpus_of_token() {
        holds_for_the_corpus("token", super::token);
    }

    #[test]
    fn holds_for_the_corpus_of_authorization() {
        holds_for_the_corpus("authorization", super::authorization);
    }

    #[test]
    fn holds_for_the_corpus_of_form() {
        holds_for_the_corpus("form", super::form);
    }

    #[test]
    fn holds_for_the_corpus_of_configuration() {
        holds_for_the_corpus("configuration", super::configuration);
    }
}
