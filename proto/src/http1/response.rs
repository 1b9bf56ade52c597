//! A response head, as a function or a node sends it.

use super::HeadError;
use super::framing::{Framing, Version};
use super::limits::Limits;
use super::reader::{Reader, Stop};
use super::scan::{Facts, Side, scan};
use super::table::{Field, FieldTable};

/// A validated response head that borrows the bytes it was read from.
#[derive(Clone, Debug)]
pub struct ResponseHead<'b> {
    /// 100 to 999.
    pub status: u16,
    /// Printable ASCII; empty when there was none, or one with bytes above 127.
    pub reason: &'b str,
    pub version: Version,
    /// [`Framing::None`] for answers to `HEAD` and for 1xx, 204 and 304, whatever their fields say.
    pub framing: Framing,
    /// `Content-Length` as declared: in an answer to `HEAD` and in a 304 the size of a body that is not sent.
    pub declared_length: Option<u64>,
    /// The sender keeps the connection open, and it can be used again.
    pub keep_alive: bool,
    /// Value of `Upgrade`, only when `Connection` names it: what a 101 switches to.
    pub upgrade: Option<&'b str>,
    /// Bytes of the head, including the empty line.
    pub len: usize,
    pub(super) table: FieldTable<'b>,
}

impl<'b> ResponseHead<'b> {
    /// All fields as received, in order.
    pub fn fields(&self) -> impl Iterator<Item = Field<'b>> {
        self.table.fields()
    }

    /// The value of the first field with this name, given in lower case.
    pub fn field(&self, lower_name: &str) -> Option<&'b [u8]> {
        self.table.find(lower_name)
    }

    /// True for 1xx except 101: another head follows on the same request.
    pub fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }
}

/// Reads one response head from the front of `bytes`. `Ok(None)`: more bytes are needed.
///
/// # Errors
/// Any error means `502`, and that the connection is not to be used again.
pub fn parse_response<'b>(
    bytes: &'b [u8],
    request_is_head: bool,
    limits: &Limits,
) -> Result<Option<ResponseHead<'b>>, HeadError> {
    match read(bytes, request_is_head, limits) {
        Ok(head) => limits.check_size(head.len).map(|()| Some(head)),
        Err(Stop::More) => limits.check_size(bytes.len()).map(|()| None),
        Err(Stop::Wrong(error)) => Err(error),
    }
}

#[inline(always)]
fn read<'b>(
    bytes: &'b [u8],
    request_is_head: bool,
    limits: &Limits,
) -> Result<ResponseHead<'b>, Stop> {
    let mut reader = Reader::new(bytes);
    let Line { version, status, reason } = read_line(&mut reader)?;
    let mut table = FieldTable::new();
    let facts = scan(&mut reader, limits, Side::Response, &mut table)?;
    let (framing, clean) = framing(&facts, version, status, request_is_head)?;
    Ok(ResponseHead {
        status,
        reason,
        version,
        framing,
        declared_length: facts.length,
        keep_alive: clean && framing != Framing::UntilClose && facts.connection.persists(version),
        upgrade: facts.upgrade()?,
        len: reader.at(),
        table,
    })
}

/// The status line.
struct Line<'b> {
    version: Version,
    status: u16,
    reason: &'b str,
}

/// Reads the status line (RFC 9112 4). The blank behind the status may be missing where no reason follows, as many servers have
/// it. An empty line in front is left over from an answer that was longer than it said.
#[inline(always)]
fn read_line<'b>(reader: &mut Reader<'b>) -> Result<Line<'b>, Stop> {
    if matches!(reader.rest(), [b'\r' | b'\n', ..]) {
        return Err(HeadError::BadStatus.into());
    }
    let version = reader.version()?.ok_or(HeadError::BadVersion)?;
    match reader.rest() {
        [b' ', ..] => reader.skip(1),
        [] => return Err(Stop::More),
        _ => return Err(HeadError::BadVersion.into()),
    }
    let status = read_status(reader)?;
    let mut reason = &b""[..];
    if let [b' ', ..] = reader.rest() {
        reader.skip(1);
        reason = reader.text();
    }
    reader.line_end(HeadError::BadStatus)?;
    Ok(Line { version, status, reason: words(reason) })
}

/// Takes three digits that are 100 or more.
#[inline(always)]
fn read_status(reader: &mut Reader<'_>) -> Result<u16, Stop> {
    let mut status = 0;
    for place in 0..3 {
        match reader.rest().get(place) {
            Some(digit @ b'0'..=b'9') => status = status * 10 + u16::from(digit - b'0'),
            Some(_) => return Err(HeadError::BadStatus.into()),
            None => return Err(Stop::More),
        }
    }
    if status < 100 {
        return Err(HeadError::BadStatus.into());
    }
    reader.skip(3);
    Ok(status)
}

/// A reason as text: nothing where it is not ASCII.
fn words(reason: &[u8]) -> &str {
    match reason {
        b"OK" => "OK",
        _ if !reason.is_ascii() => "",
        _ => std::str::from_utf8(reason).expect("ASCII is UTF-8"),
    }
}

/// RFC 9112 6.3 for responses. The second value is false when the head contradicts itself about a body that must not exist
/// (RFC 9110 8.6: no `Content-Length` above zero and no chunks after 1xx and 204): the answer is good, the connection is not.
fn framing(
    facts: &Facts<'_>,
    version: Version,
    status: u16,
    request_is_head: bool,
) -> Result<(Framing, bool), HeadError> {
    if facts.chunked && facts.length.is_some() {
        return Err(HeadError::LengthAndEncoding);
    }
    if facts.chunked && version == Version::Http10 {
        return Err(HeadError::EncodingInHttp10);
    }
    Ok(match status {
        100..=199 | 204 => (Framing::None, !facts.chunked && facts.length.unwrap_or(0) == 0),
        304 => (Framing::None, true),
        _ if request_is_head => (Framing::None, true),
        _ if facts.chunked => (Framing::Chunked, true),
        _ => (facts.length.map_or(Framing::UntilClose, Framing::Length), true),
    })
}
