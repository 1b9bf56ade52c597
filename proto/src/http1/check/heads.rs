//! Claims about heads.

use super::super::*;

/// Claims about a request head: a prefix means nothing else than the whole; no ambiguity is left in what is accepted;
/// what is forwarded means what was received.
pub fn request_head(data: &[u8]) {
    let limits = Limits::default();
    prefixes(data, |bytes| {
        parse_request(bytes, &limits).map(|head| head.map(|head| (head.len, format!("{head:?}"))))
    });
    if let Ok(Some(head)) = parse_request(data, &limits) {
        plain_lines(&data[..head.len]);
        forwarded_request(&head);
    }
}

/// The same for a response head, as the answer to `HEAD` and to another method.
pub fn response_head(data: &[u8]) {
    let limits = Limits::default();
    for to_head in [false, true] {
        prefixes(data, |bytes| {
            let head = parse_response(bytes, to_head, &limits);
            head.map(|head| head.map(|head| (head.len, format!("{head:?}"))))
        });
        if let Ok(Some(head)) = parse_response(data, to_head, &limits) {
            plain_lines(&data[..head.len]);
            forwarded_response(&head, to_head);
        }
    }
}

/// Parses what has arrived at some moment, and the whole: the length of a head and all that is known about it.
fn prefixes(data: &[u8], parse: impl Fn(&[u8]) -> Result<Option<(usize, String)>, HeadError>) {
    let whole = parse(data);
    // Everywhere in short inputs, and at some hundred places of long ones.
    for cut in (0..=data.len()).step_by(data.len() / 256 + 1) {
        match (parse(&data[..cut]), &whole) {
            (Ok(None), Ok(Some((len, _)))) => {
                assert!(cut < *len, "a whole head was not seen");
                assert!(
                    worth_parsing(data, cut, &Limits::default()),
                    "nobody would have looked again"
                );
            }
            (Ok(None), Ok(None) | Err(_)) => {}
            (Err(error), whole) => {
                assert!(whole.is_err(), "refused at {cut} and not later: {error}")
            }
            (Ok(Some(part)), whole) => assert_eq!(Ok(Some(part)), *whole),
        }
    }
}

/// An accepted head, looked at by someone who only knows how to split at CRLF.
fn plain_lines(head: &[u8]) {
    let text = head.strip_prefix(b"\r\n").unwrap_or(head);
    let text = text.strip_suffix(b"\r\n\r\n").expect("a head ends with an empty line");
    let text: String = text.iter().map(|&b| char::from(b)).collect();
    let (mut lengths, mut encodings, mut hosts) = (0, 0, 0);
    for (at, line) in text.split("\r\n").enumerate() {
        assert!(!line.contains(['\r', '\n', '\0']), "a bare line end or NUL was accepted");
        if at > 0 {
            let (name, _) = line.split_once(':').expect("a field has a colon");
            assert!(is_token(name.as_bytes()), "a field name is not a token");
            match name.to_ascii_lowercase().as_str() {
                "content-length" => lengths += 1,
                "transfer-encoding" => encodings += 1,
                "host" => hosts += 1,
                _ => {}
            }
        }
    }
    assert!(lengths + encodings <= 1, "two framing fields were accepted");
    assert!(hosts <= 1 || head.starts_with(b"HTTP/"), "two hosts were accepted");
}

fn forwarded_request(head: &RequestHead<'_>) {
    let extra = [("X-Extra", "1")];
    let edit = RequestEdit { extra: &extra, drop: &["x-drop"], ..RequestEdit::default() };
    let mut out = Vec::new();
    write_request(&mut out, head, &edit);
    plain_lines(&out);
    if head.host.is_empty() {
        return; // HTTP/1.0 without Host: what we write then (RFC 9112 3.2) we would not accept.
    }
    let again = parse_request(&out, &Limits::inside());
    let again = again.expect("what we forward is accepted").expect("and whole");
    assert_eq!(again.len, out.len());
    assert_eq!((again.method, again.path, again.query), (head.method, head.path, head.query));
    assert_eq!(
        (again.host, again.framing, again.version),
        (head.host, head.framing, Version::Http11)
    );
    assert!(again.keep_alive && !again.expects_continue && again.upgrade.is_none());
    let mut twice = Vec::new();
    write_request(&mut twice, &again, &RequestEdit { extra: &[], drop: &[], ..edit });
    assert_eq!(sorted(&out), sorted(&twice), "rewriting twice is not rewriting once");
    only_end_to_end(again.fields());
}

fn forwarded_response(head: &ResponseHead<'_>, to_head: bool) {
    for downstream in [Version::Http10, Version::Http11] {
        let framing = match (head.framing, downstream) {
            (Framing::UntilClose, Version::Http11) => Framing::Chunked,
            (Framing::Chunked, Version::Http10) => Framing::UntilClose,
            (framing, _) => framing,
        };
        let edit = ResponseEdit {
            extra: &[("X-Extra", "1")],
            drop: &["x-drop"],
            downstream,
            keep_alive: framing != Framing::UntilClose,
            framing,
            upgrade: None,
            keep_internal: false,
        };
        let mut out = Vec::new();
        write_response(&mut out, head, &edit);
        plain_lines(&out);
        let again = parse_response(&out, to_head, &Limits::inside());
        let again = again.expect("what we answer is accepted").expect("and whole");
        assert_eq!((again.len, again.status, again.framing), (out.len(), head.status, framing));
        // Our own, and a word that means nothing in an answer.
        let known = ["connection", "expect"];
        let is_known = |name: &str| known.iter().any(|known| known.eq_ignore_ascii_case(name));
        only_end_to_end(again.fields().filter(|field| !is_known(field.name)));
    }
}

/// The lines of a head, for a comparison that does not mind where our own fields stand.
fn sorted(head: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = head.split(|&b| b == b'\n').collect();
    lines.sort_unstable();
    lines
}

fn only_end_to_end<'b>(fields: impl Iterator<Item = Field<'b>>) {
    for field in fields {
        let name = field.name.to_ascii_lowercase();
        let hop = [
            "connection",
            "keep-alive",
            "te",
            "upgrade",
            "expect",
            "proxy-connection",
            "x-drop",
            "http2-settings",
        ];
        assert!(!hop.contains(&name.as_str()), "{name} was forwarded");
        assert!(
            !name.starts_with("hatchway-") && !name.starts_with("hatchway_"),
            "{name} was forwarded"
        );
    }
}
