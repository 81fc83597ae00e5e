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
    /// Too few guesses would find it.
    #[error("is too easy to guess: {0}")]
    Guessable(String),
}

/// Accepts a password, or says why not.
pub fn accept(password: &Password, username: &str, min_length: usize, max_length: usize) -> Result<(), Refusal> {
    let text = password.as_str();
    if text.chars().count() < min_length {
        return Err(Refusal::TooShort(min_length));
    }
    if text.len() > max_length {
        return Err(Refusal::TooLong(max_length));
    }
    if is_common(&text.to_lowercase()) {
        return Err(Refusal::Common);
    }
    // Of a long one it looks at the first hundred characters.
    let estimate = zxcvbn(text, &[username, "daypass"]);
    if estimate.score() < Score::Three {
        return Err(Refusal::Guessable(advice(&estimate)));
    }
    Ok(())
}

fn is_common(password: &str) -> bool {
    static COMMON: &str = include_str!("common.txt");
    COMMON.lines().any(|common| common == password)
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
        for common in ["password", "Password123", "qwertyuiop", "ILoveYou1", "11111111"] {
            assert_eq!(refusal(common), Some(Refusal::Common), "{common}");
        }
        for like_them in ["Password123!", "P@ssw0rd2026", "letmein!!", "admin1234"] {
            assert!(matches!(refusal(like_them), Some(Refusal::Guessable(_))), "{like_them}");
        }
    }

    #[test]
    fn names_and_patterns_are_refused_with_a_reason() {
        for weak in ["gertrude1", "Gertrude2026", "Daypass2026!", "abcdefgh1", "19840229", "zxcvbnm,."] {
            let refused = refusal(weak).map(|refusal| refusal.to_string());
            assert!(refused.as_ref().is_some_and(|reason| !reason.contains(weak)), "{weak}: {refused:?}");
        }
    }

    #[test]
    fn a_made_up_password_is_good() {
        assert_eq!(refusal(&super::super::make_up().unwrap()), None);
    }
}
