//! What somebody who wrote a wrong name most likely meant.

/// The name closest to `wrong`, if it is close: a third of the letters may differ.
pub fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (wrong.chars().count() / 3).max(1);
    let measured = names.into_iter().map(|name| (distance(wrong, name), name));
    measured.filter(|(distance, _)| *distance <= most).min().map(|(_, name)| name)
}

/// Levenshtein's: how many letters must be put in, taken out or changed. One row of his table at a time.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, from) in left.chars().enumerate() {
        let mut next = vec![i + 1];
        let mut last = i + 1;
        for ((to, above), diagonal) in right.iter().zip(&row[1..]).zip(&row) {
            last = (last + 1).min(above + 1).min(diagonal + usize::from(from != *to));
            next.push(last);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshteins() {
        for (left, right, expected) in
            [("", "", 0), ("", "ab", 2), ("ab", "", 2), ("kitten", "sitting", 3), ("batchsize", "batch_size", 1)]
        {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }

    #[test]
    fn the_closest_name_wins_and_a_far_one_is_not_offered() {
        let names = ["ttl", "max_run", "batch_size"];
        assert_eq!(nearest("batchsize", names), Some("batch_size"));
        assert_eq!(nearest("tll", names), Some("ttl"));
        assert_eq!(nearest("colour", names), None);
    }
}
