//! Follows a body on the wire and says which bytes belong to it.

use super::BodyError;
use super::chunked::Chunked;
use super::framing::Framing;

/// Follows one body; checks every byte of framing before it may be forwarded.
///
/// Two ways to use it, freely mixed: [`next`](Self::next) tells data from framing, for a body that is framed anew;
/// [`advance`](Self::advance) only finds the end, for a body that is passed on as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyDecoder {
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Length(u64),
    Chunked(Chunked),
    UntilClose,
    Done,
    Failed(BodyError),
}

/// What the front of the input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The input is empty and the body is not.
    NeedMore,
    /// `len` bytes of chunk framing, to be dropped or passed as they are.
    Framing { len: usize },
    /// `start` bytes of framing, then `len` bytes of data, at least one. `start + len` bytes are consumed.
    Data { start: usize, len: usize },
    /// `len` bytes of trailer lines, CRLFs included, not necessarily whole lines; the empty line after them is framing.
    /// See [`trailers`](super::trailers).
    Trailers { len: usize },
    /// The body is over, and nothing of the input belongs to it.
    Done,
}

impl BodyDecoder {
    /// A decoder at the first byte after the head.
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Chunked::new()),
            Framing::UntilClose => State::UntilClose,
        };
        Self { state }
    }

    /// True when the last byte of the body has been seen. False for ever after an error.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Bytes of a body of declared length that are still to come.
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Length(left) => Some(left),
            State::Done => Some(0),
            State::Chunked(_) | State::UntilClose | State::Failed(_) => None,
        }
    }

    /// How many of the next bytes are data for certain: what may be moved by `splice(2)` without being looked at, if
    /// [`skip`](Self::skip) is told. `u64::MAX` for a body that ends with the connection.
    pub fn data_ahead(&self) -> u64 {
        match self.state {
            State::Length(left) => left,
            State::Chunked(chunked) => chunked.data_ahead(),
            State::UntilClose => u64::MAX,
            State::Done | State::Failed(_) => 0,
        }
    }

    /// Counts `len` bytes of data that were moved without being shown.
    ///
    /// # Panics
    /// When `len` is more than [`data_ahead`](Self::data_ahead): the caller has lost track of the connection.
    pub fn skip(&mut self, len: u64) {
        assert!(len <= self.data_ahead(), "skipped more than the data ahead");
        self.pass_data(len);
    }

    /// Looks at `bytes` and consumes one piece from their front.
    ///
    /// # Errors
    /// Once refused, a body stays refused.
    pub fn next(&mut self, bytes: &[u8]) -> Result<Piece, BodyError> {
        match &mut self.state {
            State::Done => Ok(Piece::Done),
            State::Failed(error) => Err(*error),
            State::Length(_) | State::UntilClose => Ok(self.plain(bytes)),
            State::Chunked(chunked) => match chunked.next(bytes) {
                Ok(piece) => {
                    if chunked.is_over() {
                        self.state = State::Done;
                    }
                    Ok(piece)
                }
                Err(error) => self.fail(error),
            },
        }
    }

    /// Consumes as much of `bytes` as belongs to this message and is well-formed; returns how many bytes that is.
    /// Less than all of them means that the body is over: see [`is_done`](Self::is_done).
    ///
    /// # Errors
    /// Nothing of `bytes` may be forwarded then. Once refused, a body stays refused.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<usize, BodyError> {
        let mut at = 0;
        loop {
            match self.next(&bytes[at..])? {
                Piece::Framing { len } | Piece::Trailers { len } => at += len,
                Piece::Data { start, len } => at += start + len,
                Piece::NeedMore | Piece::Done => return Ok(at),
            }
        }
    }

    /// The sender has closed its side.
    ///
    /// # Errors
    /// [`BodyError::Truncated`] unless the body was over, or ends with the connection.
    pub fn end_of_input(&mut self) -> Result<(), BodyError> {
        match self.state {
            State::Done => Ok(()),
            State::UntilClose => {
                self.state = State::Done;
                Ok(())
            }
            State::Failed(error) => Err(error),
            State::Length(_) | State::Chunked(_) => self.fail(BodyError::Truncated),
        }
    }

    fn fail<T>(&mut self, error: BodyError) -> Result<T, BodyError> {
        self.state = State::Failed(error);
        Err(error)
    }

    /// A body without framing of its own.
    fn plain(&mut self, bytes: &[u8]) -> Piece {
        if bytes.is_empty() {
            return Piece::NeedMore;
        }
        let len =
            usize::try_from(self.data_ahead()).map_or(bytes.len(), |ahead| ahead.min(bytes.len()));
        self.pass_data(len as u64);
        Piece::Data { start: 0, len }
    }

    fn pass_data(&mut self, len: u64) {
        match &mut self.state {
            State::Length(left) if *left == len => self.state = State::Done,
            State::Length(left) => *left -= len,
            State::Chunked(chunked) if len > 0 => chunked.pass_data(len),
            State::Chunked(_) | State::UntilClose | State::Done | State::Failed(_) => {}
        }
    }
}
