//! The request's way: the rewritten head, then the body of the stream in the framing that the head declares.

use std::rc::Rc;
use std::task::{Context, Poll};

use h2::RecvStream;
use hatchway_proto::http1::{
    BodyDecoder, BodyError, CHUNK_END, Framing, write_chunk_head, write_last_chunk,
};

use crate::http1::{Cause, Request, Tap};
use crate::http2::head;
use crate::{Stream, scratch};

/// How much of a body is taken from the client before the upstream has taken what came before it.
const TURN_BYTES: usize = 64 * 1024;

/// The request under way. Survives an upstream that did not read a byte of it.
#[derive(Debug)]
pub(super) struct Up {
    body: RecvStream,
    part: Part,
    framing: Framing,
    head_bytes: usize,
    tap: Option<Rc<Tap>>,
    /// Of a body of declared length.
    left: u64,
    /// Bytes for the upstream, and how many of them it has taken.
    out: Vec<u8>,
    taken: usize,
    /// Bytes in `out` that the client gets room for once they are taken.
    owed: usize,
    owes_continue: bool,
    waits: Waits,
    /// Bytes that the upstream may have read, head included.
    pub(super) sent: u64,
}

/// What comes next from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Data,
    Trailers,
    Nothing,
}

/// Whom the request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    /// It has been handed over.
    Nobody,
    /// Its body has not come.
    Client,
    /// What has come is not taken.
    Upstream,
    /// Nobody any more: the upstream reads no further. It may have answered all the same.
    Refused,
}

impl Up {
    /// Takes the head out of `request`.
    pub(super) fn new(request: &mut Request, body: RecvStream) -> Self {
        let framing = request.framing;
        Self {
            part: if framing == Framing::None { Part::Nothing } else { Part::Data },
            left: if let Framing::Length(length) = framing { length } else { 0 },
            framing,
            head_bytes: request.head.len(),
            tap: request.tap.clone(),
            out: std::mem::take(&mut request.head),
            taken: 0,
            owed: 0,
            owes_continue: request.expects_continue,
            waits: Waits::Upstream,
            sent: 0,
            body,
        }
    }

    /// What follows a request that is over: the client's side of a web socket.
    pub(super) fn body(&mut self) -> &mut RecvStream {
        &mut self.body
    }

    /// What the client has not sent, or nobody has read, when the request is over.
    pub(super) fn unread(&mut self) -> Option<&mut RecvStream> {
        scratch::give(std::mem::take(&mut self.out));
        (!self.body.is_end_stream()).then_some(&mut self.body)
    }

    pub(super) fn waits(&self) -> Waits {
        self.waits
    }

    /// Begins again with another upstream; none of the request was read by the one before.
    pub(super) fn rewind(&mut self) {
        debug_assert_eq!(self.sent, 0, "an upstream has read a part");
        self.waits = Waits::Upstream;
    }

    /// Begins again with the head of `request`, which has no body.
    pub(super) fn restart(&mut self, request: &mut Request) {
        debug_assert_eq!(self.framing, Framing::None, "a body is used up");
        scratch::give(std::mem::replace(&mut self.out, std::mem::take(&mut request.head)));
        (self.taken, self.sent, self.waits) = (0, 0, Waits::Upstream);
    }

    /// True once, when the client waits to be asked for its body and a reader is there.
    pub(super) fn takes_continue(&mut self) -> bool {
        self.waits == Waits::Client && std::mem::take(&mut self.owes_continue)
    }

    /// Moves what can be moved. Gathers the frames that are there into one write.
    ///
    /// # Errors
    /// [`Cause::ClientGone`] and [`Cause::ClientBody`]. An upstream that does not read is no error yet.
    pub(super) fn poll(
        &mut self,
        upstream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Result<(), Cause> {
        while !matches!(self.waits, Waits::Nobody | Waits::Refused) {
            while self.part != Part::Nothing && self.out.len() < TURN_BYTES {
                if self.poll_client(cx)?.is_pending() {
                    break;
                }
            }
            if self.out.is_empty() {
                let is_over = self.part == Part::Nothing;
                self.waits = if is_over { Waits::Nobody } else { Waits::Client };
                break;
            }
            self.waits = Waits::Upstream;
            match upstream.poll_write(cx, &self.out[self.taken..]) {
                Poll::Pending => break,
                Poll::Ready(Ok(count)) => self.consume(count),
                Poll::Ready(Err(_)) => self.waits = Waits::Refused,
            }
        }
        Ok(())
    }

    fn consume(&mut self, count: usize) {
        if let Some(tap) = &self.tap {
            let of_head = self.head_bytes.saturating_sub(self.taken_before()).min(count);
            tap.pass(&self.out[self.taken + of_head..self.taken + count]);
        }
        self.sent += count as u64;
        self.taken += count;
        if self.taken == self.out.len() {
            self.out.clear();
            self.taken = 0;
            // Only now: a function that does not read stops its own client, and nobody else.
            let owed = std::mem::take(&mut self.owed);
            let released = self.body.flow_control().release_capacity(owed);
            debug_assert!(released.is_ok(), "no more is released than was received");
        }
    }

    /// Bytes of the request that the upstream had taken before this turn.
    fn taken_before(&self) -> usize {
        usize::try_from(self.sent).unwrap_or(usize::MAX)
    }

    /// Takes one frame.
    fn poll_client(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Cause> {
        if self.part == Part::Trailers {
            return match self.body.poll_trailers(cx) {
                Poll::Pending => Ok(Poll::Pending),
                Poll::Ready(Ok(trailers)) => {
                    let section = trailers.as_ref().map(head::trailers_to_http1);
                    self.end(&section.unwrap_or_default()).map(Poll::Ready)
                }
                Poll::Ready(Err(_)) => Err(Cause::ClientGone),
            };
        }
        match self.body.poll_data(cx) {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(None) => self.part = Part::Trailers,
            Poll::Ready(Some(Err(_))) => return Err(Cause::ClientGone),
            Poll::Ready(Some(Ok(data))) => self.push(&data)?,
        }
        Ok(Poll::Ready(()))
    }

    fn push(&mut self, data: &[u8]) -> Result<(), Cause> {
        self.owes_continue = false;
        if data.is_empty() {
            return Ok(());
        }
        self.owed += data.len();
        if self.out.capacity() == 0 {
            self.out = scratch::take_large();
        }
        if self.framing == Framing::Chunked {
            write_chunk_head(&mut self.out, data.len() as u64);
            self.out.extend_from_slice(data);
            self.out.extend_from_slice(CHUNK_END);
        } else {
            let left = self.left.checked_sub(data.len() as u64);
            self.left = left.ok_or(Cause::ClientBody(BodyError::BadChunkEnd))?;
            self.out.extend_from_slice(data);
        }
        Ok(())
    }

    /// The client has sent all. Trailers behind a body of declared length have no place in HTTP/1.1.
    fn end(&mut self, section: &[u8]) -> Result<(), Cause> {
        self.part = Part::Nothing;
        if self.left > 0 {
            return Err(Cause::ClientBody(BodyError::Truncated));
        }
        if self.framing == Framing::Chunked {
            let start = self.out.len();
            write_last_chunk(&mut self.out, section);
            // The same rules as for trailers that came over HTTP/1.1.
            let mut rules = BodyDecoder::new(Framing::Chunked);
            rules.advance(&self.out[start..]).map_err(Cause::ClientBody)?;
        }
        Ok(())
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // What the client is still owed comes back to its connection by itself when the stream is dropped.
        scratch::give(std::mem::take(&mut self.out));
    }
}
