//! The answer's way: interim heads, the head, then the body as data of the stream.

use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use hatchway_proto::http1::{
    self, BodyDecoder, BodyError, Framing, HeadError, Limits, Piece, ResponseHead,
};
use http::{StatusCode, header};
use tokio::time::Instant;

use crate::http1::{Cause, Shape};
use crate::http2::head;
use crate::http2::reply::{Gone, Reply};
use crate::http2::websocket::Key;
use crate::{Stream, scratch, ticker};

/// What is read of an answer before the client has taken what came before it: the most that a stream buffers.
const TURN_BYTES: usize = 64 * 1024;

/// Writes the head of an answer as HTTP/1.1; false when the client is not to get it.
pub(super) type Respond<'a> = dyn FnMut(&ResponseHead<'_>, Shape, &mut Vec<u8>) -> bool + 'a;

/// Where the answer stands.
#[derive(Debug)]
enum State {
    /// The head is not complete; what came of it.
    Head(Vec<u8>),
    Body(BodyDecoder),
    Done,
}

/// The answer under way.
pub(super) struct Down<'a> {
    respond: &'a mut Respond<'a>,
    is_head: bool,
    /// The client asks for a web socket.
    key: Option<&'a Key>,
    limits: Limits,
    state: State,
    /// Data that the client has not allowed yet.
    out: Bytes,
    trailers: Vec<u8>,
    pub(super) answer: Passed,
}

/// What has been passed on of an answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Passed {
    /// Of the final head, 0 before it.
    pub(super) status: u16,
    /// When that head came.
    pub(super) first_byte: Option<Instant>,
    /// Bytes of its body that the client has allowed.
    pub(super) bytes: u64,
    /// The upstream is between two messages.
    pub(super) keep_upstream: bool,
    /// The answer was 101: what follows is no HTTP.
    pub(super) is_tunnel: bool,
}

impl<'a> Down<'a> {
    pub(super) fn new(
        is_head: bool,
        key: Option<&'a Key>,
        limits: Limits,
        respond: &'a mut Respond<'a>,
    ) -> Self {
        Self {
            respond,
            is_head,
            key,
            limits,
            state: State::Head(Vec::new()),
            out: Bytes::new(),
            trailers: Vec::new(),
            answer: Passed::default(),
        }
    }

    /// True once the final head has come.
    pub(super) fn is_answered(&self) -> bool {
        !matches!(self.state, State::Head(_))
    }

    /// True while the client does not allow what is there for it.
    pub(super) fn is_unread(&self) -> bool {
        !self.out.is_empty()
    }

    /// Ready when the answer has been given to the connection whole.
    pub(super) fn poll(
        &mut self,
        reply: &mut Reply,
        upstream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Result<Poll<()>, Cause> {
        loop {
            if self.answer.is_tunnel {
                return Ok(Poll::Ready(()));
            }
            if !self.out.is_empty() {
                let before = self.out.len();
                let is_last = matches!(self.state, State::Done) && self.trailers.is_empty();
                let polled = reply.poll_data(&mut self.out, is_last, cx).map_err(gone);
                self.answer.bytes += (before - self.out.len()) as u64;
                if polled?.is_pending() {
                    return Ok(Poll::Pending);
                }
            }
            if matches!(self.state, State::Done) {
                let trailers = std::mem::take(&mut self.trailers);
                let trailers = (!trailers.is_empty()).then(|| head::trailers_to_http2(&trailers));
                reply.end(trailers).map_err(gone)?;
                return Ok(Poll::Ready(()));
            }
            let polled = scratch::with_scratch(|buffer| {
                match upstream.poll_read(cx, &mut buffer[..TURN_BYTES]) {
                    Poll::Pending => Ok(Poll::Pending),
                    Poll::Ready(result) => {
                        let count = result.map_err(Cause::UpstreamIo)?;
                        self.take(&buffer[..count], reply).map(Poll::Ready)
                    }
                }
            });
            if polled?.is_pending() {
                return Ok(Poll::Pending);
            }
        }
    }

    /// Takes what one read brought; nothing is the end.
    fn take(&mut self, bytes: &[u8], reply: &mut Reply) -> Result<(), Cause> {
        match &mut self.state {
            State::Head(_) if bytes.is_empty() => Err(Cause::UpstreamClosed),
            State::Head(partial) if partial.is_empty() => self.read_heads(bytes, reply),
            State::Head(partial) => {
                let seen = partial.len();
                partial.extend_from_slice(bytes);
                if !http1::worth_parsing(partial, seen, &self.limits) {
                    return Ok(());
                }
                let bytes = std::mem::take(partial);
                self.read_heads(&bytes, reply)
            }
            State::Body(decoder) if bytes.is_empty() => {
                decoder.end_of_input().map_err(Cause::BadBody)?;
                self.state = State::Done;
                Ok(())
            }
            State::Body(decoder) => {
                let decoder = *decoder;
                self.read_body(decoder, bytes)
            }
            State::Done => unreachable!("a finished answer is not read on"),
        }
    }

    /// Reads interim heads, then the final one and what came of its body.
    fn read_heads(&mut self, mut bytes: &[u8], reply: &mut Reply) -> Result<(), Cause> {
        while !bytes.is_empty() {
            let parsed = http1::parse_response(bytes, self.is_head, &self.limits);
            let Some(head) = parsed.map_err(Cause::BadAnswer)? else {
                self.state = State::Head(bytes.to_vec());
                return Ok(());
            };
            let rest = &bytes[head.len..];
            match head.status {
                101 => return self.begin_tunnel(&head, rest, reply),
                // Over HTTP/2 that would say that the socket is open (RFC 8441 section 5).
                200..=299 if self.key.is_some() => {
                    return Err(Cause::BadAnswer(HeadError::BadStatus));
                }
                // Ours to give, and was given.
                100 => {}
                102..=199 => {
                    let interim = self.written(&head, Framing::None)?;
                    reply.interim(interim).map_err(gone)?;
                }
                _ => return self.begin_body(&head, rest, reply),
            }
            bytes = rest;
        }
        Ok(())
    }

    /// The function has agreed to a web socket.
    fn begin_tunnel(
        &mut self,
        head: &ResponseHead<'_>,
        rest: &[u8],
        reply: &mut Reply,
    ) -> Result<(), Cause> {
        if !self.key.is_some_and(|key| key.is_accepted_by(head)) {
            return Err(Cause::UnwantedUpgrade);
        }
        let mut response = self.written(head, Framing::None)?;
        *response.status_mut() = StatusCode::OK;
        response.headers_mut().remove(header::SEC_WEBSOCKET_ACCEPT);
        self.answer.status = 200;
        self.answer.first_byte = Some(ticker::recent());
        self.answer.is_tunnel = true;
        self.out = Bytes::copy_from_slice(rest);
        reply.head(response, false).map_err(gone)
    }

    /// What came of a tunnel with its 101.
    pub(super) fn take_rest(&mut self) -> Bytes {
        std::mem::take(&mut self.out)
    }

    /// The head as the service wants the client to see it.
    fn written(
        &mut self,
        head: &ResponseHead<'_>,
        framing: Framing,
    ) -> Result<http::Response<()>, Cause> {
        let mut written = scratch::take();
        let response = match (self.respond)(head, head::shape(framing), &mut written) {
            true => head::to_http2(&written, self.is_head).map_err(Cause::BadAnswer),
            false => Err(Cause::Declined),
        };
        scratch::give(written);
        response
    }

    fn begin_body(
        &mut self,
        head: &ResponseHead<'_>,
        rest: &[u8],
        reply: &mut Reply,
    ) -> Result<(), Cause> {
        let framing = match head.framing {
            Framing::UntilClose => Framing::Chunked,
            framing => framing,
        };
        let response = self.written(head, framing)?;
        // A body that is broken from its first bytes is found before the client has seen a head.
        self.answer.keep_upstream = head.keep_alive && head.framing != Framing::UntilClose;
        self.read_body(BodyDecoder::new(head.framing), rest)?;
        self.answer.status = head.status;
        self.answer.first_byte = Some(ticker::recent());
        let is_all =
            matches!(self.state, State::Done) && self.out.is_empty() && self.trailers.is_empty();
        reply.head(response, is_all).map_err(gone)
    }

    /// Takes the data out of its framing.
    fn read_body(&mut self, mut decoder: BodyDecoder, bytes: &[u8]) -> Result<(), Cause> {
        let mut data = BytesMut::new();
        let used = self.unframe(&mut decoder, bytes, &mut data).map_err(Cause::BadBody)?;
        self.out = data.freeze();
        if decoder.is_done() {
            // Bytes behind the end were not asked for: whoever sends them is not trusted again.
            self.answer.keep_upstream &= used == bytes.len();
            self.state = State::Done;
        } else {
            self.state = State::Body(decoder);
        }
        Ok(())
    }

    fn unframe(
        &mut self,
        decoder: &mut BodyDecoder,
        bytes: &[u8],
        data: &mut BytesMut,
    ) -> Result<usize, BodyError> {
        let mut used = 0;
        while !decoder.is_done() {
            match decoder.next(&bytes[used..])? {
                Piece::NeedMore | Piece::Done => break,
                Piece::Framing { len } => used += len,
                Piece::Trailers { len } => {
                    self.trailers.extend_from_slice(&bytes[used..used + len]);
                    used += len;
                }
                Piece::Data { start, len } => {
                    data.extend_from_slice(&bytes[used + start..used + start + len]);
                    used += start + len;
                }
            }
        }
        Ok(used)
    }
}

fn gone(_: Gone) -> Cause {
    Cause::ClientGone
}
