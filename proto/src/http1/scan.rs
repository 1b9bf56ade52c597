//! The one pass over the fields of a head that requests and responses share.

use super::HeadError;
use super::chars::{is_tchar, trim_ows, trim_spaces};
use super::connection::Options;
use super::framing::{content_length, transfer_encoding};
use super::limits::{HEAD_BYTES_MAX, Limits, MAX_FIELDS};
use super::names::Kind;
use super::reader::{Reader, Stop};
use super::table::FieldTable;

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

/// Reads all fields and the empty line behind them.
///
/// A name ends with its colon, without a blank before it (RFC 9112 5.1), a line with CRLF, and no line goes on in the next
/// (RFC 9112 5.2).
#[inline]
pub(super) fn scan<'b>(
    reader: &mut Reader<'b>,
    limits: &Limits,
    side: Side,
    table: &mut FieldTable<'b>,
) -> Result<Facts<'b>, Stop> {
    let mut facts = Facts::default();
    let (start, mut left) = (reader.at(), limits.max_fields());
    while !reader.empty_line()? {
        if left == 0 {
            return Err(HeadError::TooManyFields { limit: limits.max_fields() }.into());
        }
        left -= 1;
        let line_at = reader.at();
        let name_len = reader.token(b':', HeadError::BadFieldName)?;
        let raw = reader.text();
        // A CR that no LF follows is a byte that no value has.
        reader.line_end(HeadError::BadFieldValue)?;
        let line = reader.since(line_at);
        let kind = match Kind::of(&line[..name_len]) {
            // Words of a request mean nothing in a response, and are the function's own business.
            Kind::Host | Kind::Expect if side == Side::Response => Kind::Plain,
            kind => kind,
        };
        if kind != Kind::Plain {
            facts.note(kind, trim_ows(raw), raw)?;
        }
        table.push(line.len(), name_len, kind)?;
    }
    table.lie(reader.since(start));
    facts.connection.mark(table);
    Ok(facts)
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
