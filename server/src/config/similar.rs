//! Did you mean …? The closest of some valid words.

/// The closest of `words` to `word`, if it is close enough to be a slip: one edit, or a third of it.
pub(super) fn closest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let slip = (word.chars().count() / 3).max(1);
    words
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= slip)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein: characters to insert, delete or replace.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_another_word_none() {
        let words = ["default_ttl", "min_ttl", "max_ttl", "drift"];
        for (word, found) in [
            ("max_tll", Some("max_ttl")),
            ("maxttl", Some("max_ttl")),
            ("defualt_ttl", Some("default_ttl")),
            ("drif", Some("drift")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(closest(word, words), found, "{word}");
        }
    }
}
