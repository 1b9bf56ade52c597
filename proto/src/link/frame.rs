//! Frames: a fixed header, a kind, a payload.

use super::answer::{AnswerHead, FRONT_BYTES};
use super::call::{self, CallHead};
use super::hello::Hello;
use super::load::{self, LoadSummary};
use super::payload::Fields;
use super::refused::{self, Refusal};
use super::{Cancel, LinkError};

/// Bytes in front of each payload.
pub const HEADER_BYTES: usize = 12;

/// The longest payload: a head at the limit of the hops inside (80 KiB) and what is said about it.
pub const FRAME_BYTES: usize = 96 * 1024;

/// How TLS begins (RFC 8446 section 5.1): as a length it would be 1.4 MB.
const TLS_HANDSHAKE: [u8; 2] = [22, 3];

/// The end of a direction.
const END: u8 = 1;
/// The flag of [`Frame::Drain`].
const HEIR: u8 = 1;

/// A frame, borrowed from the bytes it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'b> {
    /// The greeting.
    Hello(Hello),
    /// A new call with the head of its request.
    Call {
        /// Its id.
        call: u64,
        /// What is known of it.
        about: CallHead<'b>,
        /// What the function reads.
        head: &'b [u8],
    },
    /// More of a request or of an answer.
    Data {
        /// Of which call.
        call: u64,
        /// Nothing follows in this direction.
        end: bool,
        /// The bytes.
        bytes: &'b [u8],
    },
    /// The head of an answer, and what follows it at once.
    Answer {
        /// Of which call.
        call: u64,
        /// Nothing follows in this direction.
        end: bool,
        /// What is known of it.
        about: AnswerHead,
        /// The head, then bytes as in DATA.
        bytes: &'b [u8],
    },
    /// More may be sent.
    Credit {
        /// Of which call.
        call: u64,
        /// How many bytes.
        bytes: u32,
    },
    /// The end of a call before its time.
    Cancel {
        /// Which call.
        call: u64,
        /// Why.
        reason: Cancel,
    },
    /// A call that was not taken.
    Refused {
        /// Which call.
        call: u64,
        /// What came of it.
        refusal: Refusal<'b>,
    },
    /// How full the node is.
    Load(LoadSummary),
    /// No further call.
    Drain {
        /// Another process of the same node takes over at this address.
        heir: bool,
    },
    /// A sign of life is asked for.
    Ping(u64),
    /// And given.
    Pong(u64),
    /// The connection is over.
    Error {
        /// A [`LinkError`], or one of a later version.
        code: u16,
        /// For a person.
        text: &'b str,
    },
}

/// The kinds, by their numbers on the wire.
pub(super) mod kind {
    pub(in crate::link) const HELLO: u8 = 1;
    pub(in crate::link) const CALL: u8 = 2;
    pub(in crate::link) const DATA: u8 = 3;
    pub(in crate::link) const CREDIT: u8 = 4;
    pub(in crate::link) const CANCEL: u8 = 5;
    pub(in crate::link) const REFUSED: u8 = 6;
    pub(in crate::link) const LOAD: u8 = 7;
    pub(in crate::link) const DRAIN: u8 = 8;
    pub(in crate::link) const PING: u8 = 9;
    pub(in crate::link) const PONG: u8 = 10;
    pub(in crate::link) const ERROR: u8 = 11;
    pub(in crate::link) const ANSWER: u8 = 12;
}

/// What stands in front of a payload.
#[derive(Clone, Copy, Debug)]
struct Header {
    length: usize,
    kind: u8,
    flags: u8,
    call: u64,
}

impl Header {
    /// Checks what can be checked before the payload has come, so that nobody waits for one that will be refused.
    fn read(bytes: &[u8; HEADER_BYTES]) -> Result<Self, LinkError> {
        let [l1, l2, l3, kind, flags, id @ ..] = *bytes;
        let mut call = [0; 8];
        call[1..].copy_from_slice(&id);
        let length = u32::from_be_bytes([0, l1, l2, l3]);
        let header = Self { length: length as usize, kind, flags, call: u64::from_be_bytes(call) };
        if header.length > FRAME_BYTES {
            let is_tls = bytes.starts_with(&TLS_HANDSHAKE);
            return Err(if is_tls { LinkError::Encryption } else { LinkError::FrameSize });
        }
        let (known_flags, is_of_call) = match kind {
            kind::CALL => {
                (call::HEAD | call::UPGRADE | call::FILE | call::GRPC | call::CHOOSY, true)
            }
            kind::DATA | kind::ANSWER => (END, true),
            kind::REFUSED => (refused::ELSEWHERE, true),
            kind::CREDIT | kind::CANCEL => (0, true),
            kind::LOAD => (load::DRAINING, false),
            kind::DRAIN => (HEIR, false),
            kind::HELLO | kind::PING | kind::PONG | kind::ERROR => (0, false),
            _ => return Err(LinkError::UnknownKind),
        };
        if flags & !known_flags != 0 {
            return Err(LinkError::BadFlags);
        }
        if (header.call != 0) != is_of_call {
            return Err(LinkError::BadCall);
        }
        Ok(header)
    }

    fn write(&self, out: &mut [u8]) {
        debug_assert!(self.length <= FRAME_BYTES && self.call < 1 << 56);
        let length = u32::try_from(self.length).expect("a payload is shorter than 96 KiB");
        out[..3].copy_from_slice(&length.to_be_bytes()[1..]);
        out[3] = self.kind;
        out[4] = self.flags;
        out[5..HEADER_BYTES].copy_from_slice(&self.call.to_be_bytes()[1..]);
    }
}

impl<'b> Frame<'b> {
    /// Reads one frame from the front of `bytes`, and says how many bytes it has; none when more are needed.
    ///
    /// # Errors
    /// The connection cannot go on: where the next frame begins may be unknown.
    pub fn decode(bytes: &'b [u8]) -> Result<Option<(Self, usize)>, LinkError> {
        let Some((header, rest)) = bytes.split_first_chunk() else { return Ok(None) };
        let header = Header::read(header)?;
        let Some(payload) = rest.get(..header.length) else { return Ok(None) };
        Self::read(&header, payload).map(|frame| Some((frame, HEADER_BYTES + header.length)))
    }

    #[inline]
    fn read(header: &Header, payload: &'b [u8]) -> Result<Self, LinkError> {
        let (call, flags) = (header.call, header.flags);
        let mut fields = Fields::new(payload);
        let frame = match header.kind {
            kind::DATA => return Ok(Self::Data { call, end: flags & END != 0, bytes: payload }),
            kind::CALL => {
                let (about, head) = CallHead::decode(flags, payload)?;
                return Ok(Self::Call { call, about, head });
            }
            kind::ANSWER => {
                let (about, bytes) = AnswerHead::decode(payload)?;
                return Ok(Self::Answer { call, end: flags & END != 0, about, bytes });
            }
            kind::HELLO => return Hello::decode(payload).map(Self::Hello),
            kind::REFUSED => {
                let refusal = Refusal::decode(flags, payload)?;
                return Ok(Self::Refused { call, refusal });
            }
            kind::LOAD => return LoadSummary::decode(flags, payload).map(Self::Load),
            kind::ERROR => {
                let code = fields.u16()?;
                let text = std::str::from_utf8(fields.rest()).map_err(|_| LinkError::BadPayload)?;
                return Ok(Self::Error { code, text });
            }
            kind::CREDIT => match fields.u32()? {
                0 => return Err(LinkError::BadPayload),
                bytes => Self::Credit { call, bytes },
            },
            kind::CANCEL => {
                let reason = Cancel::from_code(fields.u8()?).ok_or(LinkError::BadPayload)?;
                Self::Cancel { call, reason }
            }
            kind::DRAIN => Self::Drain { heir: flags & HEIR != 0 },
            kind::PING => Self::Ping(fields.u64()?),
            kind::PONG => Self::Pong(fields.u64()?),
            _ => return Err(LinkError::UnknownKind),
        };
        fields.end()?;
        Ok(frame)
    }

    /// Appends the frame.
    ///
    /// # Panics
    /// When its payload is longer than [`FRAME_BYTES`], or a name in it than 255 bytes: the sender splits and checks.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (kind, flags, call) = match self {
            Self::Hello(_) => (kind::HELLO, 0, 0),
            Self::Call { call, about, .. } => (kind::CALL, about.flags(), *call),
            Self::Data { call, end, .. } => (kind::DATA, if *end { END } else { 0 }, *call),
            Self::Answer { call, end, .. } => (kind::ANSWER, if *end { END } else { 0 }, *call),
            Self::Credit { call, .. } => (kind::CREDIT, 0, *call),
            Self::Cancel { call, .. } => (kind::CANCEL, 0, *call),
            Self::Refused { call, refusal } => (kind::REFUSED, refusal.flags(), *call),
            Self::Load(load) => (kind::LOAD, load.flags(), 0),
            Self::Drain { heir } => (kind::DRAIN, if *heir { HEIR } else { 0 }, 0),
            Self::Ping(_) => (kind::PING, 0, 0),
            Self::Pong(_) => (kind::PONG, 0, 0),
            Self::Error { .. } => (kind::ERROR, 0, 0),
        };
        let start = out.len();
        out.extend_from_slice(&[0; HEADER_BYTES]);
        self.encode_payload(out);
        let length = out.len() - start - HEADER_BYTES;
        assert!(length <= FRAME_BYTES, "a payload of {length} bytes");
        Header { length, kind, flags, call }.write(&mut out[start..start + HEADER_BYTES]);
    }

    fn encode_payload(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello(hello) => hello.encode(out),
            Self::Call { about, head, .. } => {
                about.encode(out).expect("names were parsed, and are short");
                out.extend_from_slice(head);
            }
            Self::Data { bytes, .. } => out.extend_from_slice(bytes),
            Self::Answer { about, bytes, .. } => {
                about.encode(out);
                out.extend_from_slice(bytes);
            }
            Self::Credit { bytes, .. } => out.extend_from_slice(&bytes.to_be_bytes()),
            Self::Cancel { reason, .. } => out.push(reason.code()),
            Self::Refused { refusal, .. } => refusal.encode(out),
            Self::Load(load) => load.encode(out),
            Self::Drain { .. } => {}
            Self::Ping(number) | Self::Pong(number) => {
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::Error { code, text } => {
                out.extend_from_slice(&code.to_be_bytes());
                out.extend_from_slice(text.as_bytes());
            }
        }
    }
}

/// Appends a CALL whose payload was encoded before, by [`CallHead::encode`] with the head behind it.
///
/// # Panics
/// When the payload is longer than [`FRAME_BYTES`].
pub fn encode_call(out: &mut Vec<u8>, call: u64, flags: u8, payload: &[u8]) {
    assert!(payload.len() <= FRAME_BYTES, "a payload of {} bytes", payload.len());
    let mut header = [0; HEADER_BYTES];
    Header { length: payload.len(), kind: kind::CALL, flags, call }.write(&mut header);
    out.extend_from_slice(&header);
    out.extend_from_slice(payload);
}

/// The front of a DATA frame: its bytes may be passed on as they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataFront {
    /// Of which call.
    pub call: u64,
    /// Nothing follows these bytes in this direction.
    pub end: bool,
    /// How many bytes it has behind its header.
    pub length: usize,
}

impl DataFront {
    /// Reads the header of a DATA frame from the front of `bytes`; none when it is of another kind, or not whole.
    ///
    /// # Errors
    /// As [`Frame::decode`].
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, LinkError> {
        let Some((header, _)) = bytes.split_first_chunk() else { return Ok(None) };
        let Header { length, kind, flags, call } = Header::read(header)?;
        Ok((kind == kind::DATA).then_some(Self { call, end: flags & END != 0, length }))
    }
}

/// Appends the header of a DATA frame, whose `length` bytes follow.
///
/// # Panics
/// When they are more than [`FRAME_BYTES`].
pub fn encode_data_front(out: &mut Vec<u8>, call: u64, length: usize) {
    assert!(length <= FRAME_BYTES, "a payload of {length} bytes");
    let mut header = [0; HEADER_BYTES];
    Header { length, kind: kind::DATA, flags: 0, call }.write(&mut header);
    out.extend_from_slice(&header);
}

/// Appends DATA whose bytes come in two parts.
///
/// # Panics
/// When they are more than [`FRAME_BYTES`] together.
pub fn encode_data(out: &mut Vec<u8>, call: u64, first: &[u8], second: &[u8]) {
    let length = first.len() + second.len();
    out.reserve(HEADER_BYTES + length);
    encode_data_front(out, call, length);
    out.extend_from_slice(first);
    out.extend_from_slice(second);
}

/// Appends ANSWER whose bytes come in two parts: the head and what follows.
///
/// # Panics
/// When they are more than [`FRAME_BYTES`] with what is said of them.
pub fn encode_answer(out: &mut Vec<u8>, call: u64, about: AnswerHead, first: &[u8], second: &[u8]) {
    let length = FRONT_BYTES + first.len() + second.len();
    assert!(length <= FRAME_BYTES, "a payload of {length} bytes");
    let mut header = [0; HEADER_BYTES];
    Header { length, kind: kind::ANSWER, flags: 0, call }.write(&mut header);
    out.reserve(HEADER_BYTES + length);
    out.extend_from_slice(&header);
    about.encode(out);
    out.extend_from_slice(first);
    out.extend_from_slice(second);
}

/// Marks a DATA or ANSWER frame that starts at `frame` and was not sent yet as the last one of its direction.
pub fn mark_end(frame: &mut [u8]) {
    debug_assert!(matches!(frame[3], kind::DATA | kind::ANSWER), "only data has an end");
    frame[4] |= END;
}
