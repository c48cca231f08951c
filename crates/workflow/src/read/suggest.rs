//! "Did you mean": the known word nearest to a wrong one.

/// Words longer than this are not compared.
const MAX_LENGTH: usize = 40;

/// The candidate that differs least from `word`, if it differs little enough to be meant.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > MAX_LENGTH {
        return None;
    }
    let word: Vec<char> = word.to_lowercase().chars().collect();
    let allowed = (word.len() / 3).clamp(1, 3);
    let mut letters = Vec::new();
    let mut distance_of = |candidate: &str| {
        letters.clear();
        letters.extend(candidate.chars().flat_map(char::to_lowercase));
        // Each character more or less is a difference.
        if letters.len().abs_diff(word.len()) > allowed { usize::MAX } else { distance(&word, &letters) }
    };
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= MAX_LENGTH)
        .map(|candidate| (distance_of(candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours that lead from one word to the other.
fn distance(left: &[char], right: &[char]) -> usize {
    let mut rows = vec![(0..=right.len()).collect::<Vec<_>>()];
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let replaced = rows[i][j] + usize::from(a != b);
            let mut best = replaced.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    fn check(word: &str, expected: Option<&str>) {
        assert_eq!(nearest(word, ["runs-on", "steps", "needs", "on"]), expected, "{word:?}");
    }

    #[test]
    fn nearest_words() {
        check("run-on", Some("runs-on"));
        check("step", Some("steps"));
        check("setps", Some("steps"));
        check("Needs", Some("needs"));
        check("container", None);
        check("", None);
        check(&"x".repeat(1000), None);
    }
}
