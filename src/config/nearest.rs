//! What somebody who wrote a wrong name most likely meant.

use strsim::levenshtein;

/// The name closest to `wrong`, if it is close: a third of the letters may differ.
pub fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (wrong.chars().count() / 3).max(1);
    let measured = names.into_iter().map(|name| (levenshtein(wrong, name), name));
    measured.filter(|(distance, _)| *distance <= most).min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_name_wins_and_a_far_one_is_not_offered() {
        let names = ["ttl", "max_run", "batch_size"];
        assert_eq!(nearest("batchsize", names), Some("batch_size"));
        assert_eq!(nearest("tll", names), Some("ttl"));
        assert_eq!(nearest("colour", names), None);
    }
}
