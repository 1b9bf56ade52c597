//! The request's way: bytes of HTTP/1.1 become a head, data and trailers of a stream.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use h2::SendStream;
use h2::client::ResponseFuture;
use hatchway_proto::http1::{self, BodyDecoder, Framing, Limits, Piece, RequestHead};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

use super::{Shared, broken, head};

/// The most that is taken at once: what a request may hold beyond the function's window.
const TURN_BYTES: usize = 64 * 1024;

/// The request under way.
pub(super) struct Request {
    shared: Shared,
    deadline: Option<Instant>,
    state: State,
    begun: Option<Begun>,
}

/// A request whose head was sent.
pub(super) struct Begun {
    pub(super) response: ResponseFuture,
    /// HEAD: the answer's head describes a body that does not come.
    pub(super) is_head: bool,
}

enum State {
    /// What came of the head.
    Head(Vec<u8>),
    Body(Body),
    Done,
}

struct Body {
    stream: SendStream<Bytes>,
    decoder: BodyDecoder,
    trailers: Vec<u8>,
}

impl Request {
    pub(super) fn new(shared: Shared, deadline: Option<Instant>) -> Self {
        Self { shared, deadline, state: State::Head(Vec::new()), begun: None }
    }

    /// What the answer comes by, once.
    pub(super) fn take_begun(&mut self) -> Option<Begun> {
        self.begun.take()
    }

    /// Takes bytes. Nothing is taken while the function has no room for another stream, or for more data.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.state {
            State::Head(partial) => {
                ready!(self.shared.poll_ready(cx))?;
                let before = partial.len();
                partial.extend_from_slice(bytes);
                let whole = std::mem::take(partial);
                match http1::parse_request(&whole, &Limits::inside()).map_err(io::Error::other)? {
                    Some(head) => {
                        let of_head = head.len - before;
                        self.begin(&head)?;
                        // The body has a call of its own: for some of it there may be no room yet.
                        Poll::Ready(Ok(of_head))
                    }
                    None => {
                        self.state = State::Head(whole);
                        Poll::Ready(Ok(bytes.len()))
                    }
                }
            }
            State::Body(body) => {
                let used = ready!(body.poll_write(cx, bytes))?;
                if body.decoder.is_done() {
                    self.state = State::Done;
                }
                Poll::Ready(Ok(used))
            }
            State::Done => Poll::Ready(Err(io::ErrorKind::InvalidInput.into())),
        }
    }

    fn begin(&mut self, head: &RequestHead<'_>) -> io::Result<()> {
        let left = self.deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let request = head::to_http2(head, left).map_err(io::Error::other)?;
        let is_all = matches!(head.framing, Framing::None | Framing::Length(0));
        let sent = self.shared.sender().send_request(request, is_all);
        let (response, stream) = sent.map_err(broken)?;
        self.begun = Some(Begun { response, is_head: head.method == "HEAD" });
        self.state = if is_all {
            State::Done
        } else {
            let decoder = BodyDecoder::new(head.framing);
            State::Body(Body { stream, decoder, trailers: Vec::new() })
        };
        Ok(())
    }
}

impl Body {
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wanted = bytes.len().min(TURN_BYTES);
        self.stream.reserve_capacity(wanted);
        loop {
            let room = self.stream.capacity().min(wanted);
            let (used, data) = self.unframe(bytes, room)?;
            if used > 0 {
                self.send(data)?;
                // Room that is held without use would be taken from other requests.
                self.stream.reserve_capacity(0);
                return Poll::Ready(Ok(used));
            }
            match ready!(self.stream.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
    }

    /// Takes data and trailers out of their framing, `room` bytes of data at most; says how much of `bytes` that used.
    fn unframe(&mut self, bytes: &[u8], room: usize) -> io::Result<(usize, BytesMut)> {
        let (mut used, mut data) = (0, BytesMut::new());
        while !self.decoder.is_done() && used < bytes.len() {
            let before = self.decoder;
            match self.decoder.next(&bytes[used..]).map_err(io::Error::other)? {
                Piece::NeedMore | Piece::Done => break,
                Piece::Framing { len } => used += len,
                Piece::Trailers { len } => {
                    self.trailers.extend_from_slice(&bytes[used..used + len]);
                    used += len;
                }
                Piece::Data { start, len } => {
                    let len = len.min(room - data.len());
                    if len == 0 {
                        self.decoder = before;
                        break;
                    }
                    // As much as there is room for: the decoder is shown no more than that.
                    self.decoder = before;
                    let piece = &bytes[used..used + start + len];
                    self.decoder.next(piece).map_err(io::Error::other)?;
                    data.extend_from_slice(&piece[start..]);
                    used += start + len;
                }
            }
        }
        Ok((used, data))
    }

    fn send(&mut self, data: BytesMut) -> io::Result<()> {
        let is_last = self.decoder.is_done();
        let ends = is_last && self.trailers.is_empty();
        if !data.is_empty() || ends {
            self.stream.send_data(data.freeze(), ends).map_err(broken)?;
        }
        if is_last && !ends {
            let trailers = trailers(&self.trailers);
            self.stream.send_trailers(trailers).map_err(broken)?;
        }
        Ok(())
    }
}

/// The fields of a trailer section that a decoder has passed.
fn trailers(section: &[u8]) -> HeaderMap {
    http1::trailers(section)
        .filter_map(|field| {
            let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_bytes(field.value).ok()?))
        })
        .collect()
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match self.state {
            State::Head(_) => "head",
            State::Body(_) => "body",
            State::Done => "done",
        };
        f.debug_struct("Request").field("state", &state).finish_non_exhaustive()
    }
}
