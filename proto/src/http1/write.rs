//! The head for the next hop: hop-by-hop fields stay behind, framing is written anew, the rest is copied.
//!
//! Neighbouring fields that need no change and were sent as `Name: value` are copied in one piece. That is safe because
//! a parsed head holds only tokens, value bytes and CRLF; a field with other blanks around its value is written out again.

use super::framing::{Framing, Version};
use super::names::{Kind, is_spelled};
use super::request::RequestHead;
use super::response::ResponseHead;
use super::table::{FieldTable, Line};

/// What changes in a request on its way to the next hop.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestEdit<'a> {
    /// Fields to add, after all others. Names must be tokens and values [field values](super::is_field_value).
    pub extra: &'a [(&'a str, &'a str)],
    /// Lower-case names of fields to leave out, in any case and with `_` for `-` as well.
    pub drop: &'a [&'a str],
    /// Ask for this upgrade.
    pub upgrade: Option<&'a str>,
    /// The sender is one of our own programs: `hatchway-*` fields are kept.
    pub keep_internal: bool,
    /// Trailers of the answer can be passed on: say `TE: trailers`.
    pub trailers_ok: bool,
}

/// What changes in a response on its way to the client.
#[derive(Clone, Copy, Debug)]
pub struct ResponseEdit<'a> {
    /// Fields to add, after all others. Names must be tokens and values [field values](super::is_field_value).
    pub extra: &'a [(&'a str, &'a str)],
    /// Lower-case names of fields to leave out, in any case and with `_` for `-` as well.
    pub drop: &'a [&'a str],
    /// The version of the request that is answered.
    pub downstream: Version,
    /// This connection takes another request after this answer.
    pub keep_alive: bool,
    /// As it will be sent: chunks to 1.1 clients only.
    pub framing: Framing,
    /// The protocol that a 101 switches to.
    pub upgrade: Option<&'a str>,
    /// The receiver is one of our own programs: `hatchway-*` fields are kept.
    pub keep_internal: bool,
}

/// Appends the head of `head` as it goes to the next hop, always as HTTP/1.1.
pub fn write_request(out: &mut Vec<u8>, head: &RequestHead<'_>, edit: &RequestEdit<'_>) {
    out.reserve(room(head.len, edit.extra));
    put(out, &[head.method.as_bytes(), b" ", head.path.as_bytes()]);
    if let Some(query) = head.query {
        put(out, &[b"?", query.as_bytes()]);
    }
    // First, as RFC 9112 3.2 advises; empty when a 1.0 client gave none.
    put(out, &[b" HTTP/1.1\r\nHost: ", head.host.as_bytes(), b"\r\n"]);
    let chunked = head.framing == Framing::Chunked;
    let keep = Keep::new(edit.drop, edit.keep_internal, Framed { chunked, length: true });
    copy_fields(out, &head.table, &keep);
    if chunked {
        put(out, &[CHUNKED]);
    }
    match (edit.upgrade, edit.trailers_ok) {
        (None, false) => {}
        (None, true) => put(out, &[b"Connection: te\r\nTE: trailers\r\n"]),
        (Some(protocol), false) => {
            put(out, &[b"Connection: upgrade\r\nUpgrade: ", protocol.as_bytes(), b"\r\n"])
        }
        (Some(protocol), true) => {
            put(
                out,
                &[
                    b"Connection: upgrade, te\r\nTE: trailers\r\nUpgrade: ",
                    protocol.as_bytes(),
                    b"\r\n",
                ],
            );
        }
    }
    write_extra(out, edit.extra);
}

/// Appends the head of `head` as it goes to the client, always as HTTP/1.1 (RFC 9110 2.5: the version says what *we* speak).
pub fn write_response(out: &mut Vec<u8>, head: &ResponseHead<'_>, edit: &ResponseEdit<'_>) {
    debug_assert!(
        edit.framing != Framing::Chunked || edit.downstream == Version::Http11,
        "a 1.0 client cannot read chunks"
    );
    out.reserve(room(head.len, edit.extra));
    put(out, &[b"HTTP/1.1 ", &status_digits(head.status), b" ", head.reason.as_bytes(), b"\r\n"]);
    let framed = Framed {
        chunked: edit.framing == Framing::Chunked,
        length: keeps_length(head, edit.framing),
    };
    copy_fields(out, &head.table, &Keep::new(edit.drop, edit.keep_internal, framed));
    match edit.framing {
        Framing::Chunked => put(out, &[CHUNKED]),
        Framing::Length(length) if !framed.length => write_length(out, length),
        Framing::Length(_) | Framing::None | Framing::UntilClose => {}
    }
    write_connection(out, head.status, edit);
    write_extra(out, edit.extra);
}

/// An answer to `HEAD` and a 304 may tell the size of what they do not send (RFC 9110 8.6); 1xx and 204 must not.
fn keeps_length(head: &ResponseHead<'_>, framing: Framing) -> bool {
    match framing {
        Framing::Length(length) => head.declared_length == Some(length),
        Framing::None => head.status >= 200 && head.status != 204,
        Framing::Chunked | Framing::UntilClose => false,
    }
}

fn write_connection(out: &mut Vec<u8>, status: u16, edit: &ResponseEdit<'_>) {
    match (edit.upgrade, edit.downstream) {
        (Some(protocol), _) => {
            put(out, &[b"Connection: upgrade\r\nUpgrade: ", protocol.as_bytes(), b"\r\n"])
        }
        // An interim answer says nothing about the connection: the final one will.
        _ if status < 200 => {}
        (None, Version::Http11) if !edit.keep_alive => put(out, &[b"Connection: close\r\n"]),
        (None, Version::Http10) if edit.keep_alive => put(out, &[b"Connection: keep-alive\r\n"]),
        (None, Version::Http10 | Version::Http11) => {}
    }
}

/// Which fields are copied.
struct Keep<'a> {
    drop: &'a [&'a str],
    /// A bit per length of a dropped name, so that most fields are not compared at all.
    drop_lengths: u64,
    internal: bool,
    framed: Framed,
}

/// How the body is sent, as far as it concerns copying.
#[derive(Clone, Copy)]
struct Framed {
    chunked: bool,
    /// `Content-Length` stays what it is.
    length: bool,
}

impl<'a> Keep<'a> {
    #[inline]
    fn new(drop: &'a [&'a str], internal: bool, framed: Framed) -> Self {
        let drop_lengths = drop.iter().fold(0, |bits, name| bits | length_bit(name.len()));
        Self { drop, drop_lengths, internal, framed }
    }

    #[inline]
    fn keeps(&self, line: &Line<'_>) -> bool {
        match line.kind {
            Kind::Plain => {
                self.drop_lengths & length_bit(line.name_len()) == 0 || !self.drops(line.name())
            }
            Kind::Internal => self.internal,
            Kind::Trailer => self.framed.chunked,
            Kind::ContentLength => self.framed.length,
            Kind::Host
            | Kind::TransferEncoding
            | Kind::Connection
            | Kind::Upgrade
            | Kind::Expect
            | Kind::Te
            | Kind::Hop
            | Kind::Nominated => false,
        }
    }

    fn drops(&self, name: &[u8]) -> bool {
        self.drop.iter().any(|dropped| is_spelled(name, dropped.as_bytes()))
    }
}

fn length_bit(len: usize) -> u64 {
    1 << (len & 63)
}

/// Copies the kept fields, whole runs at a time.
#[inline]
fn copy_fields(out: &mut Vec<u8>, table: &FieldTable<'_>, keep: &Keep<'_>) {
    let section = table.section();
    let (mut run_start, mut at) = (0, 0);
    for line in table.lines() {
        let end = at + line.bytes.len();
        if !keep.keeps(&line) {
            out.extend_from_slice(&section[run_start..at]);
            run_start = end;
        } else if !line.is_canonical() {
            out.extend_from_slice(&section[run_start..at]);
            put(out, &[line.name(), b": ", line.value(), b"\r\n"]);
            run_start = end;
        }
        at = end;
    }
    out.extend_from_slice(&section[run_start..at]);
}

const CHUNKED: &[u8] = b"Transfer-Encoding: chunked\r\n";

fn write_length(out: &mut Vec<u8>, length: u64) {
    put(out, &[b"Content-Length: "]);
    write_decimal(out, length);
    put(out, &[b"\r\n"]);
}

/// Adds fields and the empty line.
fn write_extra(out: &mut Vec<u8>, extra: &[(&str, &str)]) {
    for (name, value) in extra {
        debug_assert!(
            super::is_token(name.as_bytes()) && super::is_field_value(value.as_bytes()),
            "{name}: {value:?}"
        );
        put(out, &[name.as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
    }
    put(out, &[b"\r\n"]);
}

/// An upper bound for most heads; growing once more costs little.
fn room(head_len: usize, extra: &[(&str, &str)]) -> usize {
    head_len + 128 + extra.iter().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>()
}

#[inline]
fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// Three digits of a status below 1000.
fn status_digits(status: u16) -> [u8; 3] {
    [status / 100, status / 10, status]
        .map(|place| b'0' + u8::try_from(place % 10).expect("a digit fits a byte"))
}

/// `write!` costs ten times as much.
fn write_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).expect("a digit fits a byte");
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 9, 10, 1234, u64::MAX] {
            let mut out = Vec::new();
            write_decimal(&mut out, number);
            assert_eq!(out, number.to_string().into_bytes());
        }
        assert_eq!(&status_digits(307), b"307");
    }
}
