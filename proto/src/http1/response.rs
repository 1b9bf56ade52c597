//! A response head, as a function or a node sends it.

use super::HeadError;
use super::framing::{Framing, Version};
use super::limits::Limits;
use super::scan::{self, Facts, Side};
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
    // httparse skips empty lines here too; before a response they are left over from an answer that was longer than it said.
    if matches!(bytes.first(), Some(b'\r' | b'\n')) {
        return Err(HeadError::BadStatus);
    }
    let mut scratch = scan::scratch();
    let mut parsed = httparse::Response::new(&mut []);
    let outcome = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut parsed,
        bytes,
        &mut scratch[..limits.max_fields()],
    );
    let len = match outcome {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return limits.check_size(bytes.len()).map(|()| None),
        Err(error) => {
            return Err(scan::refuse(error, limits, HeadError::BadStatus, HeadError::BadVersion));
        }
    };
    limits.check_size(len)?;
    let (Some(minor), Some(status @ 100..)) = (parsed.version, parsed.code) else {
        return Err(HeadError::BadStatus);
    };
    let mut table = FieldTable::new();
    let facts = scan::scan(&bytes[..len], parsed.headers, Side::Response, &mut table)?;
    let version = Version::from_minor(minor);
    let (framing, clean) = framing(&facts, version, status, request_is_head)?;
    Ok(Some(ResponseHead {
        status,
        reason: parsed.reason.unwrap_or(""),
        version,
        framing,
        declared_length: facts.length,
        keep_alive: clean && framing != Framing::UntilClose && facts.connection.persists(version),
        upgrade: facts.upgrade()?,
        len,
        table,
    }))
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
