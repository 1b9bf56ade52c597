//! A request head: parsed, then checked as a whole.

use super::HeadError;
use super::framing::{Framing, Version};
use super::host::check_authority;
use super::limits::{Limits, METHOD_BYTES};
use super::scan::{self, Facts, Side};
use super::table::{Field, FieldTable};
use super::target::parse_target;

/// What an HTTP/2 client with prior knowledge sends first (RFC 9113 3.4).
pub const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A validated request head that borrows the bytes it was read from.
#[derive(Clone, Debug)]
pub struct RequestHead<'b> {
    /// A token, case-sensitive; never `CONNECT`.
    pub method: &'b str,
    /// Begins with `/`, or is `*` for `OPTIONS`. As sent: nothing is decoded, merged or resolved.
    pub path: &'b str,
    /// What follows the first `?`.
    pub query: Option<&'b str>,
    /// A validated authority in the case it was sent in. That of an absolute target wins over `Host`. Empty only in an
    /// HTTP/1.0 request without both.
    pub host: &'b str,
    pub version: Version,
    /// Never [`Framing::UntilClose`].
    pub framing: Framing,
    /// The client would like to send another request on this connection.
    pub keep_alive: bool,
    /// The client waits for `100 Continue` before it sends the body, and there is one.
    pub expects_continue: bool,
    /// Value of `Upgrade`, only when `Connection` names it and the version is 1.1 (RFC 9110 7.8).
    pub upgrade: Option<&'b str>,
    /// The client takes trailers (`TE: trailers`, RFC 9110 10.1.4).
    pub accepts_trailers: bool,
    /// Bytes of the head, including the empty line, and an empty line before it if there was one.
    pub len: usize,
    pub(super) table: FieldTable<'b>,
}

impl<'b> RequestHead<'b> {
    /// All fields as received, in order.
    pub fn fields(&self) -> impl Iterator<Item = Field<'b>> {
        self.table.fields()
    }

    /// The names of all fields as received, in order: tokens.
    pub fn names(&self) -> impl Iterator<Item = &'b [u8]> {
        self.table.lines().map(|line| line.name())
    }

    /// The value of the first field with this name, given in lower case.
    pub fn field(&self, lower_name: &str) -> Option<&'b [u8]> {
        self.table.find(lower_name)
    }
}

/// Reads one request head from the front of `bytes`. `Ok(None)`: more bytes are needed.
///
/// Bytes after the head are left alone. One empty line before the request line is skipped (RFC 9112 2.2).
///
/// # Errors
/// The head can be refused before all of it has arrived. Nothing after it on the connection can be trusted then.
pub fn parse_request<'b>(
    bytes: &'b [u8],
    limits: &Limits,
) -> Result<Option<RequestHead<'b>>, HeadError> {
    let skipped = skip_empty_line(bytes)?;
    let rest = &bytes[skipped..];
    let mut scratch = scan::scratch();
    let mut parsed = httparse::Request::new(&mut []);
    let outcome = parsed.parse_with_uninit_headers(rest, &mut scratch[..limits.max_fields()]);
    check_line_sizes(rest, parsed.method, parsed.path, limits)?;
    let len = match outcome {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return limits.check_size(bytes.len()).map(|()| None),
        Err(error) => return Err(refuse(error, rest, &parsed, limits)),
    };
    limits.check_size(skipped + len)?;
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(HeadError::BadMethod);
    };
    let mut table = FieldTable::new();
    let facts = scan::scan(&rest[..len], parsed.headers, Side::Request, &mut table)?;
    let line = Line { method, target, version: Version::from_minor(minor) };
    build(line, &facts, table, skipped + len).map(Some)
}

/// The request line.
struct Line<'b> {
    method: &'b str,
    target: &'b str,
    version: Version,
}

#[inline(always)]
fn build<'b>(
    line: Line<'b>,
    facts: &Facts<'b>,
    table: FieldTable<'b>,
    len: usize,
) -> Result<RequestHead<'b>, HeadError> {
    let Line { method, target, version } = line;
    let target = parse_target(method, target)?;
    let field_host = match facts.host {
        Some(value) => Some(check_authority(value)?),
        None if version == Version::Http11 => return Err(HeadError::MissingHost),
        None => None,
    };
    let framing = framing(facts, version)?;
    if framing.has_body() && method == "TRACE" {
        return Err(HeadError::ContentInTrace);
    }
    let is_11 = version == Version::Http11;
    Ok(RequestHead {
        method,
        path: target.path,
        query: target.query,
        host: target.authority.or(field_host).unwrap_or(""),
        version,
        framing,
        keep_alive: facts.connection.persists(version),
        // RFC 9110 10.1.1: ignored in 1.0; and nobody waits who has nothing to send.
        expects_continue: facts.expects_continue && is_11 && framing.has_body(),
        upgrade: if is_11 { facts.upgrade()? } else { None },
        accepts_trailers: facts.accepts_trailers(),
        len,
        table,
    })
}

/// RFC 9112 6.3 for requests, without its repairs: both fields together are refused rather than one preferred.
#[inline]
fn framing(facts: &Facts<'_>, version: Version) -> Result<Framing, HeadError> {
    match (facts.chunked, facts.length) {
        (true, Some(_)) => Err(HeadError::LengthAndEncoding),
        (true, None) if version == Version::Http10 => Err(HeadError::EncodingInHttp10),
        (true, None) => Ok(Framing::Chunked),
        (false, Some(length)) => Ok(Framing::Length(length)),
        (false, None) => Ok(Framing::None),
    }
}

/// One CRLF, which old clients send after a body (RFC 9112 2.2). `httparse` would skip any number, and bare LF as well.
#[inline]
fn skip_empty_line(bytes: &[u8]) -> Result<usize, HeadError> {
    match bytes {
        [b'\r', b'\n', b'\r' | b'\n', ..] | [b'\n', ..] => Err(HeadError::BadLineEnd),
        [b'\r', b'\n', ..] => Ok(2),
        [b'\r', other, ..] if *other != b'\n' => Err(HeadError::BadLineEnd),
        _ => Ok(0),
    }
}

/// Refuses an overlong method or target as soon as it is seen, with the status of its own.
#[inline]
fn check_line_sizes(
    bytes: &[u8],
    method: Option<&str>,
    target: Option<&str>,
    limits: &Limits,
) -> Result<(), HeadError> {
    // What has no end yet is as long as all bytes that have arrived.
    let method_len = method.map_or(bytes.len(), str::len);
    if method_len > METHOD_BYTES {
        return Err(HeadError::MethodTooLong);
    }
    let target_len = match (method, target) {
        (_, Some(target)) => target.len(),
        (Some(method), None) => bytes.len().saturating_sub(method.len() + 1),
        (None, None) => 0,
    };
    if target_len > limits.target_bytes {
        return Err(HeadError::TargetTooLong { limit: limits.target_bytes });
    }
    Ok(())
}

#[cold]
fn refuse(
    error: httparse::Error,
    bytes: &[u8],
    parsed: &httparse::Request<'_, '_>,
    limits: &Limits,
) -> HeadError {
    let token = if parsed.method.is_none() { HeadError::BadMethod } else { HeadError::BadTarget };
    scan::refuse(error, limits, token, version_error(bytes))
}

/// Tells a version that we do not speak from bytes that are none.
fn version_error(bytes: &[u8]) -> HeadError {
    if bytes.starts_with(b"PRI * HTTP/2") {
        return HeadError::Http2Preface;
    }
    let line = bytes.split(|&b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
    let words: Vec<&[u8]> = line.split(|&b| b == b' ').collect();
    match words[..] {
        [_, _, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            HeadError::UnsupportedVersion
        }
        _ => HeadError::BadVersion,
    }
}
