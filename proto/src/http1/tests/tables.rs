//! Every row of the tables: answered as written, whole and cut at every byte.

use super::super::cases::{self, Case};
use super::super::*;

/// What a row comes to, in the words of the table.
fn spoken(words: impl IntoIterator<Item = String>) -> Vec<String> {
    words.into_iter().filter(|word| !word.is_empty()).collect()
}

fn expected(case: &Case) -> Vec<String> {
    case.answer.iter().map(|word| word.escape_ascii().to_string()).collect()
}

fn framing_word(framing: Framing) -> String {
    match framing {
        Framing::None => "none".to_owned(),
        Framing::Length(length) => format!("length:{length}"),
        Framing::Chunked => "chunked".to_owned(),
        Framing::UntilClose => "close".to_owned(),
    }
}

fn keep_word(keep_alive: bool) -> String {
    if keep_alive { "keep" } else { "close" }.to_owned()
}

fn named(name: &str, value: &[u8]) -> String {
    if value.is_empty() { String::new() } else { format!("{name}={}", value.escape_ascii()) }
}

/// Follows the body to its end or to the end of the input.
fn body_words(framing: Framing, bytes: &[u8]) -> Result<Vec<String>, BodyError> {
    let mut decoder = BodyDecoder::new(framing);
    let (mut at, mut data, mut trailers) = (0, Vec::new(), Vec::new());
    loop {
        match decoder.next(&bytes[at..])? {
            Piece::NeedMore | Piece::Done => break,
            Piece::Framing { len } => at += len,
            Piece::Data { start, len } => {
                data.extend_from_slice(&bytes[at + start..at + start + len]);
                at += start + len;
            }
            Piece::Trailers { len } => {
                trailers.extend_from_slice(&bytes[at..at + len]);
                at += len;
            }
        }
    }
    let rest = bytes.len() - at;
    let rest = if rest == 0 { String::new() } else { format!("rest={rest}") };
    Ok(vec![named("data", &data), named("trailers", &trailers), rest])
}

fn answer_to_request(bytes: &[u8]) -> Vec<String> {
    let head = match parse_request(bytes, &Limits::default()) {
        Ok(None) => return spoken(["more".to_owned()]),
        Err(error) => return spoken([error.status().to_string(), error.code().to_owned()]),
        Ok(Some(head)) => head,
    };
    let target = head.query.map_or(head.path.to_owned(), |query| format!("{}?{query}", head.path));
    let mut words = vec![
        "ok".to_owned(),
        head.method.as_bytes().escape_ascii().to_string(),
        target.as_bytes().escape_ascii().to_string(),
        if head.host.is_empty() { "-".to_owned() } else { head.host.to_owned() },
        framing_word(head.framing),
        keep_word(head.keep_alive),
        if head.expects_continue { "continue" } else { "" }.to_owned(),
        if head.accepts_trailers { "te" } else { "" }.to_owned(),
        named("upgrade", head.upgrade.unwrap_or("").as_bytes()),
    ];
    match body_words(head.framing, &bytes[head.len..]) {
        Ok(body) => words.extend(body),
        Err(error) => {
            words = vec!["body".to_owned(), error.status().to_string(), error.code().to_owned()]
        }
    }
    spoken(words)
}

fn answer_to_response(bytes: &[u8], to_head: bool) -> Vec<String> {
    let head = match parse_response(bytes, to_head, &Limits::default()) {
        Ok(None) => return spoken(["more".to_owned()]),
        Err(error) => return spoken(["no".to_owned(), error.code().to_owned()]),
        Ok(Some(head)) => head,
    };
    let mut words = vec![
        "ok".to_owned(),
        head.status.to_string(),
        framing_word(head.framing),
        keep_word(head.keep_alive),
        head.declared_length.map_or(String::new(), |length| format!("declared={length}")),
        named("upgrade", head.upgrade.unwrap_or("").as_bytes()),
    ];
    match body_words(head.framing, &bytes[head.len..]) {
        Ok(body) => words.extend(body),
        Err(error) => words = vec!["body".to_owned(), error.code().to_owned()],
    }
    spoken(words)
}

/// Says what is wrong with the head that the next hop gets.
fn forwarded_wrongly(case: &Case, out: &[u8]) -> Option<String> {
    let out = &out[..out.len() - 2];
    let lines: Vec<&[u8]> =
        out.strip_suffix(b"\r\n").unwrap_or(out).split(|&b| b == b'\n').collect();
    let is_name = |line: &&[u8], name: &str| {
        line.get(..=name.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(format!("{name}:").as_bytes()))
    };
    let missing = case.shown.iter().find(|shown| {
        let (with_end, trimmed) = ([shown, &b"\r\n"[..]].concat(), [shown, &b" \r\n"[..]].concat());
        let holds = |line: &[u8]| out.windows(line.len()).any(|window| window == line);
        !holds(&with_end) && !holds(&trimmed)
    });
    let leaked = case.hidden.iter().find(|name| lines.iter().any(|line| is_name(line, name)));
    match (missing, leaked) {
        (None, None) => None,
        _ => Some(format!("missing {missing:?}, leaked {leaked:?} in {}", out.escape_ascii())),
    }
}

fn check_request(case: &Case) -> Result<(), String> {
    let answer = answer_to_request(&case.bytes);
    if answer != expected(case) {
        return Err(format!("answered {answer:?}"));
    }
    let Ok(Some(head)) = parse_request(&case.bytes, &Limits::default()) else { return Ok(()) };
    let mut out = Vec::new();
    write_request(&mut out, &head, &RequestEdit::default());
    forwarded_wrongly(case, &out).map_or(Ok(()), Err)
}

fn check_response(case: &Case) -> Result<(), String> {
    let to_head = case.claim.contains("to HEAD");
    let answer = answer_to_response(&case.bytes, to_head);
    if answer != expected(case) {
        return Err(format!("answered {answer:?}"));
    }
    let Ok(Some(head)) = parse_response(&case.bytes, to_head, &Limits::default()) else {
        return Ok(());
    };
    let mut out = Vec::new();
    let edit = ResponseEdit {
        extra: &[],
        drop: &[],
        downstream: Version::Http11,
        keep_alive: true,
        framing: head.framing,
        upgrade: None,
        keep_internal: false,
    };
    write_response(&mut out, &head, &edit);
    forwarded_wrongly(case, &out).map_or(Ok(()), Err)
}

fn all(table: &'static str, check: impl Fn(&Case) -> Result<(), String>) {
    let wrong: Vec<String> = cases::read(table)
        .iter()
        .filter_map(|case| {
            Some(format!("line {}, {}: {}", case.line, case.claim, check(case).err()?))
        })
        .collect();
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_request_of_the_table_is_answered_as_written() {
    all(cases::REQUESTS, check_request);
}

#[test]
fn every_response_of_the_table_is_answered_as_written() {
    all(cases::RESPONSES, check_response);
}

#[test]
fn every_message_of_the_tables_means_the_same_however_it_is_cut() {
    for case in cases::read(cases::REQUESTS) {
        check::request_head(&case.bytes);
    }
    for case in cases::read(cases::RESPONSES) {
        check::response_head(&case.bytes);
    }
}
