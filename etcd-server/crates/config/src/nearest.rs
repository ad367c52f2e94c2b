//! The known name that an unknown one was probably meant to be.

/// The candidate with the fewest changed letters, when few enough that it is a likely slip.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (name.len() / 3).clamp(1, 4);
    candidates
        .map(|known| (distance(name, known), known))
        .filter(|(changes, _)| *changes <= allowed)
        .min()
        .map(|(_, known)| known)
}

/// Letters to insert, drop or replace.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (above, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        let known = || ["name", "data-dir", "listen-client-urls"].into_iter();
        assert_eq!(nearest("nam", known()), Some("name"));
        assert_eq!(nearest("listen-clients-url", known()), Some("listen-client-urls"));
        assert_eq!(nearest("zzzzzz", known()), None);
    }
}
