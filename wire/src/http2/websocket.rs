//! A web socket on a stream (RFC 8441): the client's extended CONNECT becomes the handshake of HTTP/1.1 (RFC 6455 section 4),
//! and behind the function's 101 bytes pass both ways until both have ended.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use aws_lc_rs::rand;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::{Buf, Bytes};
use h2::RecvStream;
use h2::ext::Protocol;
use hatchway_proto::http1::ResponseHead;
use http::Method;
use http::request::Parts;
use tokio::time::Instant;

use crate::http1::frames::{Farewell, goodbye_at};
use crate::http1::{Cause, Clocks, upgrade};
use crate::http2::reply::Reply;
use crate::ticker::{Ticker, Timer};
use crate::{Stream, scratch};

/// Read of the function before the client has taken what came before.
const TURN_BYTES: usize = 16 * 1024;

/// What a server proves its understanding with (RFC 6455 section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The key that we send in the client's place: over HTTP/2 there is none (RFC 8441 section 5).
#[derive(Clone, Debug)]
pub(super) struct Key(String);

impl Key {
    /// A new one, where the stream asks for a web socket.
    pub(super) fn for_request(parts: &Parts) -> Option<Self> {
        let protocol = parts.extensions.get::<Protocol>()?;
        if parts.method != Method::CONNECT || protocol.as_str() != "websocket" {
            return None;
        }
        let mut nonce = [0; 16];
        rand::fill(&mut nonce).ok()?;
        Some(Self(BASE64_STANDARD.encode(nonce)))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// True for a 101 of somebody who has read this key, and not of one who says 101 to everything.
    pub(super) fn is_accepted_by(&self, head: &ResponseHead<'_>) -> bool {
        let proof = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[self.0.as_bytes(), GUID].concat());
        upgrade::granted(head).is_some()
            && head.field("sec-websocket-accept") == Some(BASE64_STANDARD.encode(proof).as_bytes())
    }
}

/// A web socket that is open.
pub(super) struct Tunnel<'a> {
    pub(super) body: &'a mut RecvStream,
    pub(super) reply: &'a mut Reply,
    pub(super) upstream: &'a mut Stream,
    /// For the client: what came behind the 101.
    pub(super) down: Bytes,
}

/// How far each way has come.
#[derive(Default)]
struct Ways {
    up: Bytes,
    is_up_ended: bool,
    is_up_shut: bool,
    is_down_ended: bool,
    is_down_shut: bool,
    moved_up: u64,
    moved_down: u64,
    farewell: Farewell,
}

impl Ways {
    fn moved(&self) -> u64 {
        self.moved_up + self.moved_down
    }
}

impl Tunnel<'_> {
    /// Carries bytes until both ways have ended; gives how many went up and down, and the clock that ran out or the side that
    /// broke. A way that ends is passed on, and the other may go on. When this end goes away, the client is told so.
    pub(super) async fn carry(
        mut self,
        clocks: Clocks,
        (ticker, timer): (&Ticker, &Timer),
    ) -> ([u64; 2], Result<(), Cause>) {
        let farewell = Farewell::after(&self.down);
        let mut ways = Ways { farewell, ..Ways::default() };
        let (mut moved, mut moved_at) = (0, Instant::now());
        let result = poll_fn(|cx| {
            if self.reply.poll_gone(cx).is_ready() {
                return Poll::Ready(Err(Cause::ClientGone));
            }
            let goodbye_at = goodbye_at(ticker).filter(|_| !ways.farewell.has_begun());
            if goodbye_at.is_some_and(|at| at <= Instant::now()) {
                ways.farewell.begin();
            }
            let up = self.poll_up(&mut ways, cx)?;
            let down = self.poll_down(&mut ways, cx)?;
            if up.is_ready() && down.is_ready() {
                return Poll::Ready(Ok(()));
            }
            if ways.moved() != moved {
                (moved, moved_at) = (ways.moved(), Instant::now());
            }
            let until_idle = moved_at + clocks.idle;
            let wakes_at = until_idle.min(clocks.run);
            timer.set(goodbye_at.map_or(wakes_at, |at| at.min(wakes_at)));
            match timer.poll(cx) {
                // It rang for the goodbye.
                Poll::Ready(()) if Instant::now() < wakes_at => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                Poll::Ready(()) if clocks.run <= until_idle => Poll::Ready(Err(Cause::RunClock)),
                Poll::Ready(()) => Poll::Ready(Err(Cause::IdleClock)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
        ([ways.moved_up, ways.moved_down], result)
    }

    fn poll_up(&mut self, ways: &mut Ways, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        loop {
            while !ways.up.is_empty() {
                let polled = self.upstream.poll_write(cx, &ways.up);
                let count = ready!(polled).map_err(Cause::UpstreamIo)?;
                ways.up.advance(count);
                ways.moved_up += count as u64;
                // Only now: a function that does not read stops its own client.
                let released = self.body.flow_control().release_capacity(count);
                debug_assert!(released.is_ok(), "no more is released than was received");
            }
            if ways.is_up_shut {
                return Poll::Ready(Ok(()));
            }
            if ways.is_up_ended {
                ready!(self.upstream.poll_shutdown(cx)).map_err(Cause::UpstreamIo)?;
                ways.is_up_shut = true;
                continue;
            }
            match ready!(self.body.poll_data(cx)) {
                Some(Ok(data)) => ways.up = data,
                Some(Err(_)) => return Poll::Ready(Err(Cause::ClientGone)),
                None => ways.is_up_ended = true,
            }
        }
    }

    fn poll_down(&mut self, ways: &mut Ways, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        loop {
            if !self.down.is_empty() {
                let before = self.down.len();
                let polled = self.reply.poll_data(&mut self.down, false, cx);
                ways.moved_down += (before - self.down.len()) as u64;
                ready!(polled).map_err(|_| Cause::ClientGone)?;
            }
            if ways.is_down_shut {
                return Poll::Ready(Ok(()));
            }
            if !ways.is_down_ended
                && let Some(goodbye) = ways.farewell.take()
            {
                self.down = Bytes::copy_from_slice(&goodbye);
                continue;
            }
            if ways.is_down_ended {
                self.reply.end(None).map_err(|_| Cause::ClientGone)?;
                ways.is_down_shut = true;
                continue;
            }
            let upstream = &mut *self.upstream;
            (self.down, ways.is_down_ended) = ready!(scratch::with_scratch(|buffer| {
                let count = ready!(upstream.poll_read(cx, &mut buffer[..TURN_BYTES]))?;
                let passed = ways.farewell.pass(&buffer[..count]);
                let bytes = Bytes::copy_from_slice(&buffer[..passed]);
                Poll::Ready(std::io::Result::Ok((bytes, count == 0)))
            }))
            .map_err(Cause::UpstreamIo)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_standard_has_the_proof_of_the_standard() {
        let key = Key("dGhlIHNhbXBsZSBub25jZQ==".to_owned());
        let head = |accept: &str| {
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            )
        };
        let is_accepted = |text: &str| {
            let limits = hatchway_proto::http1::Limits::default();
            let parsed = hatchway_proto::http1::parse_response(text.as_bytes(), false, &limits);
            key.is_accepted_by(&parsed.unwrap().unwrap())
        };
        assert!(is_accepted(&head("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
        assert!(!is_accepted(&head("s3pPLMBiTxaQ9kYGzzhZRbK+xOp=")));
        assert!(!is_accepted(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        ));
    }
}
