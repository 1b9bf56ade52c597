//! The tables of raw messages, `requests.txt` and `responses.txt`, for our own tests and for those that run them against a
//! real gateway.

/// The raw requests, in the form that their first lines explain.
pub const REQUESTS: &str = include_str!("requests.txt");

/// The raw responses.
pub const RESPONSES: &str = include_str!("responses.txt");

/// One row.
#[derive(Clone, Debug)]
pub struct Case {
    /// Counted from one, for a test's message.
    pub line: usize,
    /// The RFC and its section, or `policy`.
    pub source: &'static str,
    pub claim: &'static str,
    pub bytes: Vec<u8>,
    /// The words of the answer, unescaped.
    pub answer: Vec<Vec<u8>>,
    /// Lines that the next hop sees, without their CRLF.
    pub shown: Vec<Vec<u8>>,
    /// Lower-case names of fields that it does not see.
    pub hidden: Vec<String>,
}

impl Case {
    /// The word at `index` of the answer, or an empty one.
    pub fn word(&self, index: usize) -> &str {
        self.answer.get(index).and_then(|word| std::str::from_utf8(word).ok()).unwrap_or("")
    }

    /// The value of `name=` in the answer.
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        self.answer.iter().find_map(|word| word.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    }

    /// True when the answer has this word.
    pub fn says(&self, word: &str) -> bool {
        self.answer.iter().any(|said| said == word.as_bytes())
    }
}

/// Reads a table.
///
/// # Panics
/// When a row is not of the form that the head of the table explains.
pub fn read(table: &'static str) -> Vec<Case> {
    let rows =
        table.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    rows.map(|(at, line)| row(at + 1, line)).collect()
}

fn row(line: usize, text: &'static str) -> Case {
    let columns: Vec<&str> = text.split(" | ").collect();
    let [source, claim, bytes, answer, seen @ ..] = &columns[..] else {
        panic!("line {line} has too few columns")
    };
    let kept = |sign: char| seen.iter().filter_map(move |column| column.strip_prefix(sign));
    assert_eq!(
        kept('+').count() + kept('-').count(),
        seen.len(),
        "line {line}: each last column begins with + or -"
    );
    Case {
        line,
        source,
        claim,
        bytes: unescape(bytes),
        answer: answer.split_whitespace().map(unescape).collect(),
        shown: kept('+').map(unescape).collect(),
        hidden: kept('-').map(str::to_owned).collect(),
    }
}

/// Resolves the escapes of a table.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.extend_from_slice(plain.as_bytes());
        let (bytes, after) = one(escape);
        out.extend_from_slice(&bytes);
        rest = after;
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

/// Resolves one escape, without its backslash, and returns what follows it.
fn one(escape: &str) -> (Vec<u8>, &str) {
    let (kind, rest) = escape.split_at(1);
    match kind {
        "r" => (vec![b'\r'], rest),
        "n" => (vec![b'\n'], rest),
        "t" => (vec![b'\t'], rest),
        "0" => (vec![0], rest),
        "\\" => (vec![b'\\'], rest),
        "x" => (
            vec![u8::from_str_radix(&rest[..2], 16).expect("two hex digits follow \\x")],
            &rest[2..],
        ),
        "{" => {
            let (inner, rest) = rest.split_once('}').expect("\\{ is closed");
            let (count, text) = inner.split_once(':').expect("\\{ has a colon");
            (unescape(text).repeat(count.parse().expect("a number of times")), rest)
        }
        other => panic!("unknown escape \\{other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_resolved() {
        assert_eq!(unescape(r"a\r\n\t\0\\\x7c\{3:b\n}c"), b"a\r\n\t\0\\|b\nb\nb\nc");
    }

    #[test]
    fn both_tables_are_read() {
        assert!(read(REQUESTS).len() >= 250);
        assert!(read(RESPONSES).len() >= 50);
    }
}
