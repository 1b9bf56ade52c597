//! The head for the next hop: hop-by-hop fields stay behind, framing is written anew, the rest is copied.

use super::copy::{Framed, Keep, copy_fields, put};
use super::framing::{Framing, Version};
use super::request::RequestHead;
use super::response::ResponseHead;

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
