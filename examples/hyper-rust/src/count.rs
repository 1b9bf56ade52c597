//! What `wc` counts.

use std::fmt;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Count {
    lines: u64,
    words: u64,
    bytes: u64,
    /// The last piece ended inside a word, which the next may continue.
    is_in_word: bool,
}

impl Count {
    pub fn add(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        for byte in piece {
            self.lines += u64::from(*byte == b'\n');
            let is_in_word = !byte.is_ascii_whitespace();
            self.words += u64::from(is_in_word && !self.is_in_word);
            self.is_in_word = is_in_word;
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} lines, {} words, {} bytes", self.lines, self.words, self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_may_be_cut_anywhere() {
        let text = b"one two\nthree \n\n four";
        let mut whole = Count::default();
        whole.add(text);
        assert_eq!(whole.to_string(), "3 lines, 4 words, 21 bytes\n");
        for cut in 0..text.len() {
            let mut pieces = Count::default();
            pieces.add(&text[..cut]);
            pieces.add(&text[cut..]);
            assert_eq!(pieces, whole);
        }
    }
}
