//! The one pass over the fields of a head that requests and responses share.

use std::mem::MaybeUninit;

use super::HeadError;
use super::connection::Options;
use super::framing::{content_length, transfer_encoding};
use super::limits::{HEAD_BYTES_MAX, Limits, MAX_FIELDS};
use super::names::Kind;
use super::table::{FieldTable, Slot};

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

/// Reads all fields. `head` ends with its empty line, and the fields are slices of it.
pub(super) fn scan<'b>(
    head: &'b [u8],
    fields: &[httparse::Header<'b>],
) -> Result<(FieldTable<'b>, Facts<'b>), HeadError> {
    let mut table = FieldTable::new(head);
    let mut facts = Facts::default();
    // httparse takes a bare LF for a line end (allowed by RFC 9112 2.2, and a way to smuggle). Each line but the last two
    // ends where a field name begins.
    if !head.ends_with(b"\r\n\r\n") {
        return Err(HeadError::BadLineEnd);
    }
    for field in fields {
        let name = field.name.as_bytes();
        let kind = Kind::of(name);
        let slot = Slot::locate(head, name, field.value, kind)?;
        if head[..slot.name_start()].last_chunk() != Some(b"\r\n") {
            return Err(HeadError::BadLineEnd);
        }
        if kind != Kind::Plain {
            facts.note(head, &slot)?;
        }
        table.push(slot);
    }
    facts.connection.mark(&mut table);
    Ok((table, facts))
}

impl<'b> Facts<'b> {
    fn note(&mut self, head: &'b [u8], slot: &Slot) -> Result<(), HeadError> {
        let value = slot.value(head);
        match slot.kind {
            Kind::Host if self.host.is_some() => return Err(HeadError::RepeatedHost),
            Kind::Host => self.host = Some(value),
            Kind::ContentLength if self.length.is_some() => return Err(HeadError::RepeatedLength),
            Kind::ContentLength if has_tab(head, slot) => return Err(HeadError::BadLength),
            Kind::ContentLength => self.length = Some(content_length(value)?),
            Kind::TransferEncoding if self.chunked => return Err(HeadError::RepeatedEncoding),
            Kind::TransferEncoding if has_tab(head, slot) => return Err(HeadError::BadEncoding),
            Kind::TransferEncoding => {
                transfer_encoding(value)?;
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
    pub(super) fn upgrade(&self) -> Result<Option<&'b str>, HeadError> {
        let (true, Some(value)) = (self.connection.upgrade, self.upgrade) else { return Ok(None) };
        let listed = |&b: &u8| super::chars::is_tchar(b) || matches!(b, b'/' | b',' | b' ');
        if self.upgrade_repeated || value.is_empty() || !value.iter().all(listed) {
            return Err(HeadError::BadUpgrade);
        }
        std::str::from_utf8(value).map(Some).map_err(|_| HeadError::BadUpgrade)
    }
}

/// True when a tab stands beside the value. It is OWS to the RFC, and part of the value to some readers, so a framing
/// field must do without.
fn has_tab(head: &[u8], slot: &Slot) -> bool {
    let before = &head[slot.name_end()..slot.value_start()];
    let after = head[slot.value_end()..].iter().take_while(|&&b| b != b'\r');
    before.iter().chain(after).any(|&b| b == b'\t')
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
