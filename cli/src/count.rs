//! Numbers of things, in words.

/// `1 mistake`, `2 mistakes`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
