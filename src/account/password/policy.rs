//! What password is good enough: from 8 characters, off the list of common ones, and hard to guess.
//!
//! There are no rules about kinds of characters: they make passwords harder to remember, not to guess.

use zxcvbn::{Score, zxcvbn};

use super::Password;

/// Why a password is refused. It never repeats the password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too few characters.
    #[error("must be at least {0} characters long")]
    TooShort(usize),
    /// Too many bytes.
    #[error("must be at most {0} bytes long")]
    TooLong(usize),
    /// One of those that everybody tries first.
    #[error("is one of the most common passwords; choose one that nobody else would")]
    Common,
    /// It is the name of the user or of the service, with little beside it.
    #[error("is too close to the user name or the name of the service")]
    Named,
    /// Too few guesses would find it.
    #[error("is too easy to guess: {0}")]
    Guessable(String),
}

/// How many characters are looked at: guessing at more would cost seconds and could only make it better.
const LOOKED_AT: usize = 100;

/// Accepts a password, or says why not.
pub fn accept(password: &Password, username: &str, min_length: usize, max_length: usize) -> Result<(), Refusal> {
    let text = password.as_str();
    if text.chars().count() < min_length {
        return Err(Refusal::TooShort(min_length));
    }
    if text.len() > max_length {
        return Err(Refusal::TooLong(max_length));
    }
    let head: String = text.chars().take(LOOKED_AT).collect();
    let plain = plain(&head);
    if is_common(&plain) || is_common(&head.to_lowercase()) {
        return Err(Refusal::Common);
    }
    if is_named(&plain, &username.to_lowercase()) || is_named(&plain, "daypass") {
        return Err(Refusal::Named);
    }
    let estimate = zxcvbn(&head, &[username, "daypass"]);
    if estimate.score() < Score::Three {
        return Err(Refusal::Guessable(advice(&estimate)));
    }
    Ok(())
}

/// Lower case, with the substitutions everybody makes undone and what everybody puts at the end taken off.
fn plain(password: &str) -> String {
    let undone = |letter: char| match letter {
        '@' => 'a',
        '0' => 'o',
        '1' | '!' => 'i',
        '3' => 'e',
        '$' | '5' => 's',
        '7' => 't',
        other => other,
    };
    let lower = password.to_lowercase();
    let core = lower.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter.is_ascii_punctuation());
    core.chars().map(undone).collect()
}

fn is_common(password: &str) -> bool {
    static COMMON: &str = include_str!("common.txt");
    COMMON.lines().any(|common| common == password)
}

/// Whether little is left of a password once the name is taken out.
fn is_named(password: &str, name: &str) -> bool {
    const LITTLE: usize = 4;
    name.len() >= 3 && password.contains(name) && password.len() < name.len() + LITTLE
}

fn advice(estimate: &zxcvbn::Entropy) -> String {
    let feedback = estimate.feedback();
    let warning = feedback.and_then(zxcvbn::feedback::Feedback::warning).map(|warning| warning.to_string());
    let suggestions = feedback.map(zxcvbn::feedback::Feedback::suggestions).unwrap_or_default();
    let texts: Vec<_> = warning.into_iter().chain(suggestions.iter().map(ToString::to_string)).collect();
    if texts.is_empty() { "add another word or two".to_owned() } else { texts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(password: &str) -> Option<Refusal> {
        accept(&Password::new(password.to_owned()), "gertrude", 8, 1024).err()
    }

    #[test]
    fn a_phrase_of_several_words_is_good() {
        for good in [
            "correct horse battery staple wizard",
            "v9#kQ!x2Lm",
            "\u{431}\u{435}\u{433}\u{435}\u{43c}\u{43e}\u{442} \u{438} \u{43b}\u{438}\u{43b}\u{438}\u{44f}",
        ] {
            assert_eq!(refusal(good), None, "{good}");
        }
    }

    #[test]
    fn length_counts_characters_below_and_bytes_above() {
        assert_eq!(refusal("kQ!x2Lm"), Some(Refusal::TooShort(8)));
        assert_eq!(refusal(&"k\u{e9}Q!x2 Lm".repeat(200)), Some(Refusal::TooLong(1024)));
        assert_eq!(refusal(&"vK9#".repeat(256)[..1024].replace("vK9#vK9#", "q!7Zw2)x")), None);
    }

    #[test]
    fn what_everybody_tries_first_is_refused() {
        for common in ["password", "Password123!", "P@ssw0rd2026", "qwertyuiop", "iloveyou1", "letmein!!"] {
            assert!(matches!(refusal(common), Some(Refusal::Common)), "{common}: {:?}", refusal(common));
        }
    }

    #[test]
    fn names_and_patterns_are_refused_with_a_reason() {
        assert_eq!(refusal("gertrude1"), Some(Refusal::Named));
        assert_eq!(refusal("Daypass2026!"), Some(Refusal::Named));
        for weak in ["abcdefgh1", "11111111", "admin1234", "19840229", "zxcvbnm,."] {
            let refused = refusal(weak).map(|refusal| refusal.to_string());
            assert!(refused.as_ref().is_some_and(|reason| !reason.contains(weak)), "{weak}: {refused:?}");
        }
    }

    #[test]
    fn a_made_up_password_is_good() {
        assert_eq!(refusal(&super::super::make_up().unwrap()), None);
    }
}
