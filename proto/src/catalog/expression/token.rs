//! The words of an expression.

/// A word, and where it begins: its column in bytes, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token<'t> {
    pub(super) at: usize,
    pub(super) word: Word<'t>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word<'t> {
    Name(&'t str),
    Text(String),
    Number(i64),
    /// An operator or a bracket.
    Sign(&'t str),
    End,
}

/// Longer ones first.
const SIGNS: [&str; 22] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "(", ")", "[", "]", ",", ".", "?", ":", "+",
    "-", "*", "/", "%",
];

/// Cuts a text into words; the last one is its end.
///
/// # Errors
/// What is no word.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let at = text.len() - rest.len() + 1;
        let (word, len) = if first == '"' || first == '\'' {
            quoted(rest, first).map_err(|why| format!("column {at}: {why}"))?
        } else if first.is_ascii_alphabetic() || first == '_' {
            let len = length(rest, |c| c.is_ascii_alphanumeric() || c == '_');
            (Word::Name(&rest[..len]), len)
        } else if first.is_ascii_digit() {
            let len = length(rest, |c| c.is_ascii_alphanumeric() || c == '_');
            let number = rest[..len].parse().map_err(|_| {
                format!("column {at}: {:?} is not a whole number in decimal digits", &rest[..len])
            })?;
            (Word::Number(number), len)
        } else if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            (Word::Sign(sign), sign.len())
        } else {
            return Err(format!("column {at}: {first:?} has no meaning here"));
        };
        found.push(Token { at, word });
        rest = rest[len..].trim_start();
    }
    found.push(Token { at: text.len() + 1, word: Word::End });
    Ok(found)
}

fn length(text: &str, is_inside: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is_inside(c)).unwrap_or(text.len())
}

/// A text between quotes, and its length with them.
fn quoted(text: &str, quote: char) -> Result<(Word<'static>, usize), String> {
    let mut unquoted = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((index, c)) = chars.next() {
        match c {
            c if c == quote => return Ok((Word::Text(unquoted), index + 1)),
            '\\' => match chars.next() {
                Some((_, 'n')) => unquoted.push('\n'),
                Some((_, 't')) => unquoted.push('\t'),
                Some((_, c @ ('\\' | '"' | '\''))) => unquoted.push(c),
                _ => return Err("behind a backslash stands one of \\ \" ' n t".to_owned()),
            },
            c => unquoted.push(c),
        }
    }
    Err(format!("the text has no end: {quote} is missing"))
}
