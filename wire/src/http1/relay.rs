//! One exchange between two streams: the request one way, the answer the other, both at once.
//!
//! Nothing is collected: a side is read only when all that was read from it before has been written.
//! Reads and writes go through the core's scratch buffer; only what the other side does not take at
//! once is copied. Every byte of framing is checked before it is passed on.

use std::task::{Context, Poll};

use hatchway_proto::http1::{
    self, BodyDecoder, BodyError, Framing, Limits, Piece, ResponseHead, Version,
};
use tokio::time::Instant;

use crate::http1::copy::Pending;
use crate::http1::exchange::{Broken, Cause};
use crate::http1::service::{Clocks, Request, Shape};
use crate::ticker::Timer;
use crate::{Stream, scratch};

/// What a client may send ahead while its request is being answered: the next head, not a next body.
const AHEAD_BYTES: usize = 64 * 1024;

/// A body this small joins the head in one write: copying it costs less than a system call.
const JOIN_BYTES: usize = 16 * 1024;

/// Writes the head of an answer for the client.
pub(super) type Respond<'a> = dyn FnMut(&ResponseHead<'_>, Shape, &mut Vec<u8>) + 'a;

/// How the exchange stands once the answer is complete.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    status: u16,
    /// Both messages ended where they said; the client may send the next request.
    pub(super) keep_client: bool,
    /// The upstream is between two messages.
    pub(super) keep_upstream: bool,
    /// The answer was 101: what follows is no HTTP.
    pub(super) is_tunnel: bool,
}

/// Where the answer stands.
#[derive(Debug)]
enum Down {
    /// The head is not complete; what came of it.
    Head(Vec<u8>),
    Body(BodyDecoder, Form),
    Done,
}

/// How the body of the answer goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    AsIs,
    /// It ends with the upstream's connection, and the client understands chunks.
    Chunk,
    /// It comes in chunks, and the client (HTTP/1.0) does not understand them.
    Unchunk,
}

/// What a relay uses of the client's connection.
#[derive(Debug)]
pub(super) struct Halves<'a> {
    pub(super) stream: &'a mut Stream,
    /// What the client has sent beyond what was used.
    pub(super) ahead: &'a mut Vec<u8>,
    pub(super) timer: &'a Timer,
    /// This core stops: the connection ends with this answer.
    pub(super) is_draining: bool,
}

/// One exchange under way. Dropped at any point, it leaves both streams in an unknown place: neither
/// is used again.
pub(super) struct Relay<'a> {
    client: &'a mut Stream,
    ahead: &'a mut Vec<u8>,
    upstream: &'a mut Stream,
    respond: &'a mut Respond<'a>,
    timer: &'a Timer,
    clocks: Clocks,
    is_draining: bool,

    is_head: bool,
    version: Version,
    keep_alive: bool,
    wants_upgrade: bool,
    owes_continue: bool,

    up: Pending,
    up_body: BodyDecoder,
    /// The upstream reads no more; it may have answered all the same.
    up_failed: bool,
    down: Down,
    down_out: Pending,

    done: Done,
    head_sent: bool,
    handed_over: Option<Instant>,
    moved_at: Instant,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    pub(super) first_byte: Option<Instant>,
}

impl std::fmt::Debug for Relay<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("down", &self.down).field("done", &self.done).finish()
    }
}

impl<'a> Relay<'a> {
    pub(super) fn new(
        client: Halves<'a>,
        upstream: &'a mut Stream,
        request: &mut Request,
        clocks: Clocks,
        respond: &'a mut Respond<'a>,
    ) -> Self {
        let done = Done { status: 0, keep_client: false, keep_upstream: false, is_tunnel: false };
        Self {
            client: client.stream,
            ahead: client.ahead,
            timer: client.timer,
            is_draining: client.is_draining,
            upstream,
            respond,
            clocks,
            is_head: request.is_head,
            version: request.version,
            keep_alive: request.keep_alive,
            wants_upgrade: request.wants_upgrade,
            owes_continue: request.expects_continue,
            up: Pending::new(std::mem::take(&mut request.head)),
            up_body: BodyDecoder::new(request.framing),
            up_failed: false,
            down: Down::Head(Vec::new()),
            down_out: Pending::default(),
            done,
            head_sent: false,
            handed_over: None,
            moved_at: Instant::now(),
            request_bytes: 0,
            response_bytes: 0,
            first_byte: None,
        }
    }

    /// The status that the client was sent, 0 before that.
    pub(super) fn status(&self) -> u16 {
        self.done.status
    }

    /// Ready when the answer has been written whole, or when it cannot be.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Done, Broken>> {
        match self.poll_parts(cx) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) => {
                let is_whole = self.up_body.is_done() && self.up.is_empty() && !self.up_failed;
                self.done.keep_client &= is_whole;
                self.done.keep_upstream &= is_whole;
                Poll::Ready(Ok(self.done))
            }
            Err(cause) => Poll::Ready(Err(Broken {
                cause,
                head_sent: self.head_sent,
                request_bytes: self.request_bytes,
            })),
        }
    }

    fn poll_parts(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Cause> {
        let before = self.request_bytes + self.response_bytes;
        if !self.up_failed && self.poll_up(cx)?.is_ready() && self.handed_over.is_none() {
            self.handed_over = Some(Instant::now());
        }
        if self.poll_down(cx)?.is_ready() {
            return Ok(Poll::Ready(()));
        }
        if self.up_body.is_done() {
            self.watch_client(cx)?;
        }
        if self.request_bytes + self.response_bytes != before {
            self.moved_at = Instant::now();
        }
        self.poll_clocks(cx)
    }

    fn poll_clocks(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Cause> {
        let waits_for_head = matches!(self.down, Down::Head(_));
        let (next, cause) = match self.handed_over {
            Some(since) if waits_for_head => {
                (since + self.clocks.first_byte, Cause::FirstByteClock)
            }
            _ => (self.moved_at + self.clocks.idle, Cause::IdleClock),
        };
        self.timer.set(next.min(self.clocks.run));
        if self.timer.poll(cx).is_pending() {
            return Ok(Poll::Pending);
        }
        Err(if self.clocks.run <= next { Cause::RunClock } else { cause })
    }

    /// The request's way. Ready once all of it has been written.
    fn poll_up(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Cause> {
        loop {
            self.join_ahead()?;
            while !self.up.is_empty() {
                match self.up.poll_flush(self.upstream, cx) {
                    Poll::Ready(Ok(count)) => self.request_bytes += count as u64,
                    Poll::Ready(Err(_)) => {
                        self.up_failed = true;
                        return Ok(Poll::Pending);
                    }
                    Poll::Pending => return Ok(Poll::Pending),
                }
            }
            if self.up_body.is_done() {
                return Ok(Poll::Ready(()));
            }
            if self.ahead.is_empty() {
                self.offer_continue();
                let polled = scratch::with_scratch(|buffer| self.poll_client(buffer, cx));
                if polled?.is_pending() {
                    return Ok(Poll::Pending);
                }
            }
        }
    }

    /// Puts body bytes that have arrived already behind the head.
    fn join_ahead(&mut self) -> Result<(), Cause> {
        if self.ahead.is_empty() || self.up_body.is_done() || self.up.bytes.len() > JOIN_BYTES {
            return Ok(());
        }
        let count = self.up_body.advance(self.ahead).map_err(Cause::ClientBody)?;
        self.up.bytes.extend_from_slice(&self.ahead[..count]);
        self.ahead.drain(..count);
        if self.ahead.is_empty() {
            scratch::give(std::mem::take(self.ahead));
        }
        Ok(())
    }

    /// The body is wanted now: a sandbox is there to read it (RFC 9110 section 10.1.1).
    fn offer_continue(&mut self) {
        if std::mem::take(&mut self.owes_continue) && self.version == Version::Http11 {
            self.down_out.bytes.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }

    fn poll_client(&mut self, buffer: &mut [u8], cx: &mut Context<'_>) -> Result<Poll<()>, Cause> {
        let count = match self.client.poll_read(cx, buffer) {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(Ok(0) | Err(_)) => return Err(Cause::ClientGone),
            Poll::Ready(Ok(count)) => count,
        };
        let used = self.up_body.advance(&buffer[..count]).map_err(Cause::ClientBody)?;
        self.ahead.extend_from_slice(&buffer[used..count]);
        if self.up.poll_send(&buffer[..used], self.upstream, cx).is_err() {
            self.up_failed = true;
            return Ok(Poll::Pending);
        }
        self.request_bytes += (used - (self.up.bytes.len())) as u64;
        Ok(Poll::Ready(()))
    }

    /// While the function works, hears whether the client is still there.
    fn watch_client(&mut self, cx: &mut Context<'_>) -> Result<(), Cause> {
        while self.ahead.len() < AHEAD_BYTES {
            let polled = scratch::with_scratch(|buffer| {
                let polled = self.client.poll_read(cx, buffer);
                if let Poll::Ready(Ok(count)) = polled {
                    self.ahead.extend_from_slice(&buffer[..count]);
                }
                polled
            });
            match polled {
                Poll::Pending => break,
                Poll::Ready(Ok(0) | Err(_)) => return Err(Cause::ClientGone),
                Poll::Ready(Ok(_)) => {}
            }
        }
        Ok(())
    }

    /// The answer's way. Ready once all of it has been written.
    fn poll_down(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Cause> {
        loop {
            while !self.down_out.is_empty() {
                match self.down_out.poll_flush(self.client, cx) {
                    Poll::Ready(Ok(count)) => self.response_bytes += count as u64,
                    Poll::Ready(Err(_)) => return Err(Cause::ClientGone),
                    Poll::Pending => return Ok(Poll::Pending),
                }
            }
            if matches!(self.down, Down::Done) {
                return Ok(Poll::Ready(()));
            }
            let polled = scratch::with_scratch(|buffer| self.poll_upstream(buffer, cx));
            if polled?.is_pending() {
                return Ok(Poll::Pending);
            }
        }
    }

    fn poll_upstream(
        &mut self,
        buffer: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Result<Poll<()>, Cause> {
        let count = match self.upstream.poll_read(cx, buffer) {
            Poll::Ready(result) => result.map_err(Cause::UpstreamIo)?,
            Poll::Pending => return Ok(Poll::Pending),
        };
        let bytes = &buffer[..count];
        match std::mem::replace(&mut self.down, Down::Done) {
            Down::Head(_) if count == 0 => return Err(Cause::UpstreamClosed),
            Down::Head(mut partial) if !partial.is_empty() => {
                partial.extend_from_slice(bytes);
                self.read_heads(&partial)?;
            }
            Down::Head(_) => self.read_heads(bytes)?,
            Down::Body(decoder, form) if count == 0 => self.end_body(decoder, form)?,
            Down::Body(decoder, form) => self.pass_body(decoder, form, bytes, Some(cx))?,
            Down::Done => unreachable!("a finished answer is not read on"),
        }
        Ok(Poll::Ready(()))
    }

    /// Reads interim heads, then the final one and what came of its body.
    fn read_heads(&mut self, mut bytes: &[u8]) -> Result<(), Cause> {
        loop {
            let parsed = http1::parse_response(bytes, self.is_head, &Limits::default())
                .map_err(Cause::BadAnswer)?;
            let Some(head) = parsed else {
                self.down = Down::Head(bytes.to_vec());
                return Ok(());
            };
            let rest = &bytes[head.len..];
            match head.status {
                101 => return self.begin_tunnel(&head, rest),
                100..=199 => self.pass_interim(&head),
                _ => return self.begin_body(&head, rest),
            }
            bytes = rest;
        }
    }

    /// 100 is ours to give, and was given; others are for clients that know interim answers.
    fn pass_interim(&mut self, head: &ResponseHead<'_>) {
        if head.status != 100 && self.version == Version::Http11 {
            let shape = Shape {
                version: self.version,
                keep_alive: true,
                framing: Framing::None,
                upgrades: false,
            };
            (self.respond)(head, shape, &mut self.down_out.bytes);
        }
    }

    fn begin_tunnel(&mut self, head: &ResponseHead<'_>, rest: &[u8]) -> Result<(), Cause> {
        if !self.wants_upgrade {
            return Err(Cause::UnwantedUpgrade);
        }
        let shape = Shape {
            version: self.version,
            keep_alive: true,
            framing: Framing::None,
            upgrades: true,
        };
        self.note_head(head);
        (self.respond)(head, shape, &mut self.down_out.bytes);
        self.down_out.bytes.extend_from_slice(rest);
        self.done.is_tunnel = true;
        self.down = Down::Done;
        Ok(())
    }

    fn begin_body(&mut self, head: &ResponseHead<'_>, rest: &[u8]) -> Result<(), Cause> {
        let (framing, form) = match (head.framing, self.version) {
            (Framing::UntilClose, Version::Http11) => (Framing::Chunked, Form::Chunk),
            (Framing::Chunked, Version::Http10) => (Framing::UntilClose, Form::Unchunk),
            (framing, _) => (framing, Form::AsIs),
        };
        self.done.keep_client =
            self.keep_alive && framing != Framing::UntilClose && !self.is_draining;
        self.done.keep_upstream = head.keep_alive && head.framing != Framing::UntilClose;
        let shape = Shape {
            version: self.version,
            keep_alive: self.done.keep_client,
            framing,
            upgrades: false,
        };
        self.note_head(head);
        if self.down_out.bytes.capacity() == 0 {
            self.down_out.bytes = scratch::take();
        }
        (self.respond)(head, shape, &mut self.down_out.bytes);
        self.pass_body(BodyDecoder::new(head.framing), form, rest, None)
    }

    fn note_head(&mut self, head: &ResponseHead<'_>) {
        self.done.status = head.status;
        self.first_byte = Some(Instant::now());
        self.head_sent = true;
    }

    /// Passes on what `bytes` hold of the body: straight to the client where it goes as it is and
    /// nothing waits before it (`cx` given), behind what waits otherwise.
    fn pass_body(
        &mut self,
        mut decoder: BodyDecoder,
        form: Form,
        bytes: &[u8],
        cx: Option<&mut Context<'_>>,
    ) -> Result<(), Cause> {
        let used = if form == Form::AsIs {
            let used = decoder.advance(bytes).map_err(Cause::BadBody)?;
            self.send_down(&bytes[..used], cx)?;
            used
        } else {
            reframe(&mut decoder, form, bytes, &mut self.down_out.bytes).map_err(Cause::BadBody)?
        };
        if decoder.is_done() {
            // Bytes behind the end were not asked for: whoever sends them is not trusted again.
            self.done.keep_upstream &= used == bytes.len();
            self.down = Down::Done;
        } else {
            self.down = Down::Body(decoder, form);
        }
        Ok(())
    }

    fn send_down(&mut self, bytes: &[u8], cx: Option<&mut Context<'_>>) -> Result<(), Cause> {
        let Some(cx) = cx else {
            self.down_out.bytes.extend_from_slice(bytes);
            return Ok(());
        };
        if bytes.is_empty() {
            return Ok(());
        }
        self.down_out.poll_send(bytes, self.client, cx).map_err(|_| Cause::ClientGone)?;
        self.response_bytes += (bytes.len() - self.down_out.bytes.len()) as u64;
        Ok(())
    }

    fn end_body(&mut self, mut decoder: BodyDecoder, form: Form) -> Result<(), Cause> {
        decoder.end_of_input().map_err(Cause::BadBody)?;
        if form == Form::Chunk {
            http1::write_last_chunk(&mut self.down_out.bytes, &[]);
        }
        self.down = Down::Done;
        Ok(())
    }
}

/// Writes the data of a body in another form; says how many bytes belong to it.
fn reframe(
    decoder: &mut BodyDecoder,
    form: Form,
    bytes: &[u8],
    out: &mut Vec<u8>,
) -> Result<usize, BodyError> {
    let mut used = 0;
    while !decoder.is_done() {
        match decoder.next(&bytes[used..])? {
            Piece::NeedMore | Piece::Done => break,
            Piece::Framing { len } | Piece::Trailers { len } => used += len,
            Piece::Data { start, len } => {
                let data = &bytes[used + start..used + start + len];
                if form == Form::Chunk {
                    http1::write_chunk_head(out, data.len() as u64);
                    out.extend_from_slice(data);
                    out.extend_from_slice(b"\r\n");
                } else {
                    out.extend_from_slice(data);
                }
                used += start + len;
            }
        }
    }
    Ok(used)
}
