//! The one pass over the fields of a head that requests and responses share.

use std::mem::MaybeUninit;

use super::HeadError;
use super::chars::{is_tchar, trim_ows, trim_spaces};
use super::connection::Options;
use super::framing::{content_length, transfer_encoding};
use super::limits::{HEAD_BYTES_MAX, Limits, MAX_FIELDS};
use super::names::Kind;
use super::table::FieldTable;

/// Room for `httparse` to note fields in; never initialised, so it costs nothing.
pub(super) type Scratch<'b> = [MaybeUninit<httparse::Header<'b>>; MAX_FIELDS];

pub(super) fn scratch<'b>() -> Scratch<'b> {
    [const { MaybeUninit::uninit() }; MAX_FIELDS]
}

/// What the fields of a head say about the message.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts<'b> {
    pub(super) host: Option<&'b [u8]>,
    pub(super) length: Option<u64>,
    pub(super) chunked: bool,
    pub(super) connection: Options,
    pub(super) upgrade: Option<&'b [u8]>,
    upgrade_repeated: bool,
    pub(super) expects_continue: bool,
    pub(super) te: Option<&'b [u8]>,
}

/// Whose head it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Response,
}

/// Reads all fields. `head` ends with its empty line, and the fields are slices of it.
///
/// `httparse` takes a bare LF for a line end, which RFC 9112 2.2 allows and smuggling needs; so each line end is looked
/// at again here: that of the first line, of each field, and of the head.
#[inline]
pub(super) fn scan<'b>(
    head: &'b [u8],
    fields: &[httparse::Header<'b>],
    side: Side,
    table: &mut FieldTable<'b>,
) -> Result<Facts<'b>, HeadError> {
    let base = head.as_ptr().addr();
    let section_at = match fields.first() {
        Some(field) => field.name.as_ptr().addr() - base,
        None => head.len().saturating_sub(2),
    };
    let (first_line, section) = head.split_at(section_at);
    if !first_line.ends_with(b"\r\n") {
        return Err(HeadError::BadLineEnd);
    }
    table.start(section);
    let mut facts = Facts::default();
    let mut at = section_at;
    for field in fields {
        let value_end = field.value.as_ptr().addr() + field.value.len() - base;
        let end = line_end(head, value_end)?;
        let kind = match Kind::of(field.name.as_bytes()) {
            // Words of a request mean nothing in a response, and are the function's own business.
            Kind::Host | Kind::Expect if side == Side::Response => Kind::Plain,
            kind => kind,
        };
        if kind != Kind::Plain {
            let raw = &head[at + field.name.len() + 1..end - 2];
            facts.note(kind, field.value, raw)?;
        }
        table.push(end - at, field.name.len(), kind)?;
        at = end;
    }
    if &head[at..] != b"\r\n" {
        return Err(HeadError::BadLineEnd);
    }
    facts.connection.mark(table);
    Ok(facts)
}

/// Finds the end of the line whose value ends at `value_end`: blanks may follow, then CRLF must.
#[inline]
fn line_end(head: &[u8], value_end: usize) -> Result<usize, HeadError> {
    let mut at = value_end;
    loop {
        match head[at..] {
            [b'\r', b'\n', ..] => return Ok(at + 2),
            [b' ' | b'\t', ..] => at += 1,
            _ => return Err(HeadError::BadLineEnd),
        }
    }
}

impl<'b> Facts<'b> {
    /// Takes note of a field that is not plain. `raw` is the value with the blanks around it.
    fn note(&mut self, kind: Kind, value: &'b [u8], raw: &[u8]) -> Result<(), HeadError> {
        match kind {
            Kind::Host if self.host.is_some() => return Err(HeadError::RepeatedHost),
            Kind::Host => self.host = Some(value),
            Kind::ContentLength if self.length.is_some() => return Err(HeadError::RepeatedLength),
            Kind::ContentLength => self.length = Some(content_length(trim_spaces(raw))?),
            Kind::TransferEncoding if self.chunked => return Err(HeadError::RepeatedEncoding),
            Kind::TransferEncoding => {
                transfer_encoding(trim_spaces(raw))?;
                self.chunked = true;
            }
            Kind::Connection => self.connection.read(value)?,
            Kind::Upgrade => {
                self.upgrade_repeated |= self.upgrade.is_some();
                self.upgrade = Some(value);
            }
            Kind::Expect if !value.eq_ignore_ascii_case(b"100-continue") => {
                return Err(HeadError::UnknownExpectation);
            }
            Kind::Expect => self.expects_continue = true,
            Kind::Te => self.te = Some(value),
            Kind::Trailer | Kind::Hop | Kind::Internal | Kind::Plain | Kind::Nominated => {}
        }
        Ok(())
    }

    /// The protocols asked for or agreed to, when `Connection` names the upgrade (RFC 9110 7.8).
    #[inline]
    pub(super) fn upgrade(&self) -> Result<Option<&'b str>, HeadError> {
        match self.upgrade {
            Some(value) if self.connection.upgrade => self.check_upgrade(value).map(Some),
            _ => Ok(None),
        }
    }

    fn check_upgrade(&self, value: &'b [u8]) -> Result<&'b str, HeadError> {
        let listed = |&b: &u8| is_tchar(b) || matches!(b, b'/' | b',' | b' ');
        if self.upgrade_repeated || value.is_empty() || !value.iter().all(listed) {
            return Err(HeadError::BadUpgrade);
        }
        std::str::from_utf8(value).map_err(|_| HeadError::BadUpgrade)
    }

    /// True when the sender takes trailers (RFC 9110 10.1.4).
    pub(super) fn accepts_trailers(&self) -> bool {
        let is_trailers = |coding| trim_ows(coding).eq_ignore_ascii_case(b"trailers");
        self.te.is_some_and(|te| te.split(|&b| b == b',').any(is_trailers))
    }
}

/// Gives a `httparse` error the name that an operator knows.
#[cold]
pub(super) fn refuse(
    error: httparse::Error,
    limits: &Limits,
    token: HeadError,
    version: HeadError,
) -> HeadError {
    match error {
        httparse::Error::HeaderName => HeadError::BadFieldName,
        httparse::Error::HeaderValue => HeadError::BadFieldValue,
        httparse::Error::NewLine => HeadError::BadLineEnd,
        httparse::Error::Status => HeadError::BadStatus,
        httparse::Error::Token => token,
        httparse::Error::TooManyHeaders => HeadError::TooManyFields { limit: limits.max_fields() },
        httparse::Error::Version => version,
    }
}

impl Limits {
    pub(super) fn max_fields(&self) -> usize {
        self.fields.min(MAX_FIELDS)
    }

    pub(super) fn max_head(&self) -> usize {
        self.head_bytes.min(HEAD_BYTES_MAX)
    }

    pub(super) fn check_size(&self, bytes: usize) -> Result<(), HeadError> {
        let limit = self.max_head();
        if bytes > limit { Err(HeadError::HeadTooLarge { limit }) } else { Ok(()) }
    }
}

/// True when parsing again may have another outcome than "more bytes are needed", given that the first `seen` of `bytes`
/// had that outcome.
///
/// Parsing starts from the first byte each time, so a client that sends its head byte by byte would cost the square
/// of its size. A reader that asks this first does linear work: the answer is yes only when an end of head has arrived or
/// the limit is passed. A malformed head is then noticed at its end rather than at once.
pub fn worth_parsing(bytes: &[u8], seen: usize, limits: &Limits) -> bool {
    if seen == 0 || bytes.len() >= limits.max_head() {
        return true;
    }
    let fresh = &bytes[seen.saturating_sub(2).min(bytes.len())..];
    fresh.windows(2).any(|pair| pair == b"\n\n") || fresh.windows(3).any(|three| three == b"\n\r\n")
}
