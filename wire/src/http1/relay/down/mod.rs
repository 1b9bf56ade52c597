//! The answer's way: interim heads, the head ([`heads`]), then the body in a form that the client understands ([`body`]).

mod body;
mod heads;

use std::io::ErrorKind;
use std::task::{Context, Poll};

use hatchway_proto::http1::{self, BodyDecoder, Framing, Limits, ResponseHead, Version};
use tokio::time::Instant;

use crate::http1::client::Client;
use crate::http1::copy::Side;
use crate::http1::exchange::Cause;
use crate::http1::pending::Pending;
use crate::http1::relay::splice::Splice;
use crate::http1::service::{Request, Shape};
use crate::ticker::Ticker;
use crate::{Stream, pipe};

/// Writes the head of an answer for the client; false when the client is not to get it.
pub(crate) type Respond<'a> = dyn FnMut(&ResponseHead<'_>, Shape, &mut Vec<u8>) -> bool + 'a;

/// What is said of heads over links: see [`Service`](crate::http1::Service).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Telling {
    /// A gateway in front is told of a head, if it is written for such a client.
    pub(crate) tells: bool,
    /// A head that a node behind has told of is passed on.
    pub(crate) passes: bool,
}

/// What the request means for its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    is_head: bool,
    version: Version,
    keep_alive: bool,
    pub(super) wants_upgrade: bool,
    told: Telling,
}

impl Terms {
    pub(super) fn new(request: &Request, told: Telling) -> Self {
        Self {
            told,
            is_head: request.is_head,
            version: request.version,
            keep_alive: request.keep_alive,
            wants_upgrade: request.wants_upgrade,
        }
    }

    /// For a head that is no answer yet.
    fn interim(&self) -> Shape {
        Shape { version: self.version, keep_alive: true, framing: Framing::None, upgrades: false }
    }
}

/// How the request stands when a head of its answer comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// The upstream has all of it.
    pub(super) is_whole: bool,
    /// The client has sent more than the request.
    pub(super) has_more: bool,
}

/// Where the answer stands.
#[derive(Debug)]
enum State {
    /// The head is not complete; what came of it.
    Head(Vec<u8>),
    Body(BodyDecoder, Form),
    /// Another protocol begins: what came of it behind the head.
    Tunnel(Vec<u8>),
    Done,
}

/// How the body goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    AsIs,
    /// It ends with the upstream's connection, and the client understands chunks.
    Chunk,
    /// It comes in chunks, and the client (HTTP/1.0) does not understand them.
    Unchunk,
}

/// The answer under way.
pub(super) struct Down<'a> {
    respond: &'a mut Respond<'a>,
    ticker: &'a Ticker,
    terms: Terms,
    limits: Limits,
    state: State,
    out: Pending,
    splice_from: u64,
    splice: Option<Splice>,
    pub(super) answer: Passed,
}

/// What has been passed on of an answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Passed {
    /// Of the final head, 0 before it.
    pub(super) status: u16,
    /// When that head came.
    pub(super) first_byte: Option<Instant>,
    /// Bytes that the client has taken.
    pub(super) bytes: u64,
    /// The client may send another request, as far as the answer is concerned.
    pub(super) keep_client: bool,
    /// The upstream is between two messages.
    pub(super) keep_upstream: bool,
    /// The client takes the end of the connection for the end of the answer.
    pub(super) ends_by_close: bool,
}

impl<'a> Down<'a> {
    pub(super) fn new(
        terms: Terms,
        limits: Limits,
        client: &Client<'a>,
        respond: &'a mut Respond<'a>,
    ) -> Self {
        Self {
            respond,
            ticker: client.ticker,
            terms,
            limits,
            state: State::Head(Vec::new()),
            out: Pending::default(),
            splice_from: client.settings.splice_from,
            splice: None,
            answer: Passed::default(),
        }
    }

    /// True once the final head has come.
    pub(super) fn is_answered(&self) -> bool {
        !matches!(self.state, State::Head(_))
    }

    /// True while the client does not take what it was sent.
    pub(super) fn is_unread(&self) -> bool {
        !self.out.is_empty() || self.splice.as_ref().is_some_and(Splice::is_holding)
    }

    /// What came behind the head of a 101; none where there was none.
    pub(super) fn into_tunnel(self) -> Option<Vec<u8>> {
        match self.state {
            State::Tunnel(rest) => Some(rest),
            State::Head(_) | State::Body(..) | State::Done => None,
        }
    }

    /// True when nothing but the rest of this answer may follow on the client's connection.
    pub(super) fn is_begun(&self) -> bool {
        self.is_answered() || self.out.is_begun()
    }

    /// Asks the client for its body (RFC 9110 section 10.1.1): a sandbox is there to read it. Not once a final
    /// answer is on its way.
    pub(super) fn offer_continue(&mut self) {
        if !self.is_answered() && self.terms.version == Version::Http11 {
            self.out.buffer().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }

    /// Ready when the answer has been written whole.
    pub(super) fn poll(
        &mut self,
        asked: Asked,
        client: &mut Stream,
        upstream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Result<Poll<()>, Cause> {
        loop {
            while !self.out.is_empty() {
                match self.out.poll_flush(client, cx) {
                    Poll::Ready(Ok(count)) => self.answer.bytes += count as u64,
                    Poll::Ready(Err(_)) => return Err(Cause::ClientGone),
                    Poll::Pending => return Ok(Poll::Pending),
                }
            }
            if let Some(polled) = self.poll_splice(client, upstream, cx)? {
                return Ok(polled);
            }
            if matches!(self.state, State::Tunnel(_) | State::Done) {
                return Ok(Poll::Ready(()));
            }
            let told = upstream.take_told();
            let take = |bytes: &[u8], cx: &mut Context<'_>| match told {
                Some(told) if self.passes(asked) => self.pass_told(told, bytes, client, cx),
                Some(_) | None => self.take(bytes, asked, client, cx),
            };
            match upstream.poll_bytes(cx, take) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(taken) => taken.map_err(Cause::UpstreamIo)??,
            }
        }
    }

    /// Takes the short cut for the rest of a body, from the first moment that allows it; none where there is none.
    fn poll_splice(
        &mut self,
        client: &Stream,
        upstream: &Stream,
        cx: &mut Context<'_>,
    ) -> Result<Option<Poll<()>>, Cause> {
        let State::Body(decoder, Form::AsIs) = &mut self.state else { return Ok(None) };
        if self.splice.is_none() {
            self.splice = Splice::begin(decoder, upstream, client, self.splice_from);
        }
        let Some(splice) = &mut self.splice else { return Ok(None) };
        let before = splice.moved;
        let polled = splice.poll(decoder, upstream, client, cx);
        self.answer.bytes += splice.moved - before;
        match polled {
            Poll::Pending => return Ok(Some(Poll::Pending)),
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(Side::To(_))) => return Err(Cause::ClientGone),
            Poll::Ready(Err(Side::From(error))) if error.kind() == ErrorKind::UnexpectedEof => {
                return decoder.end_of_input().map(|()| None).map_err(Cause::BadBody);
            }
            Poll::Ready(Err(Side::From(error))) => return Err(Cause::UpstreamIo(error)),
        }
        (self.state, self.splice) = (State::Done, None);
        pipe::settle(upstream);
        Ok(Some(Poll::Ready(())))
    }

    /// Takes what one read brought; nothing is the end.
    fn take(
        &mut self,
        bytes: &[u8],
        asked: Asked,
        client: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Result<(), Cause> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Head(partial) if bytes.is_empty() => {
                // Nothing was answered: the state must not say otherwise.
                self.state = State::Head(partial);
                Err(Cause::UpstreamClosed)
            }
            State::Head(partial) if partial.is_empty() => self.read_heads(bytes, asked, client, cx),
            State::Head(mut partial) => {
                let seen = partial.len();
                partial.extend_from_slice(bytes);
                if http1::worth_parsing(&partial, seen, &self.limits) {
                    return self.read_heads(&partial, asked, client, cx);
                }
                self.state = State::Head(partial);
                Ok(())
            }
            State::Body(decoder, form) if bytes.is_empty() => self.end_body(decoder, form),
            State::Body(decoder, form) => self.pass_body(decoder, form, (0, bytes), client, cx),
            State::Tunnel(_) | State::Done => unreachable!("a finished answer is not read on"),
        }
    }
}
