//! What was meant: the known word nearest to a wrong one.

/// The known word that `given` most likely stands for: one that starts alike, or the fewest edits away,
/// at most one edit in three letters, so that a suggestion is never a wild guess.
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase().replace('-', "_");
    let starts_alike =
        |word: &str| given.len() >= 3 && (word.starts_with(&given) || given.starts_with(word));
    known
        .into_iter()
        .map(|word| {
            let edits = strsim::osa_distance(&given, &word.replace('-', "_"));
            (if starts_alike(word) { edits.min(1) } else { edits }, word)
        })
        .filter(|(edits, word)| *edits <= word.len().max(given.len()).div_ceil(3).min(3))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, word)| word)
}

/// `a`, `a or b`, `a, b or c`.
pub(super) fn one_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_corrected_and_a_stranger_is_not() {
        let known = ["runtime", "handler", "memory", "min", "max", "idle_timeout", "timeouts"];
        let cases = [
            ("runtme", Some("runtime")),
            ("Handler", Some("handler")),
            ("mem", Some("memory")),
            ("mni", Some("min")),
            ("idle-timeout", Some("idle_timeout")),
            ("timeout", Some("timeouts")),
            ("colour", None),
            ("", None),
        ];
        for (given, meant) in cases {
            assert_eq!(nearest(given, known), meant, "{given}");
        }
        assert_eq!(nearest("nodejs", ["node", "python"]), Some("node"));
    }

    #[test]
    fn a_choice_reads_as_a_sentence() {
        assert_eq!(one_of(&["a"]), "a");
        assert_eq!(one_of(&["a", "b", "c"]), "a, b or c");
    }
}
