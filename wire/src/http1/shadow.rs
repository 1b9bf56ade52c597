//! A request whose answer nobody waits for: sent, read to its end, forgotten.

use std::future::poll_fn;
use std::task::{Context, Poll};

use hatchway_proto::http1::{self, BodyDecoder, Framing, Limits};
use tokio::time::{Instant, timeout_at};

use crate::Stream;
use crate::http1::exchange::Cause;
use crate::http1::pending::Pending;
use crate::http1::service::{Request, Upstream};

/// Sends `request` and its body, which is in its framing already, and reads the answer to its end; gives its status. Gives
/// up at `until`, or when the run clock rings. Cancel safe: the connection is closed.
///
/// # Errors
/// Why there was no whole answer.
pub async fn discard<U: Upstream>(
    mut upstream: U,
    request: Request,
    body: Vec<u8>,
    until: Instant,
) -> Result<u16, Cause> {
    let until = upstream.clocks().run.min(until);
    let mut exchange = Exchange {
        head: Pending::new(request.head),
        body: Pending::new(body),
        is_head: request.is_head,
        limits: upstream.limits(),
        answer: Answer::Head(Vec::new()),
        keeps: false,
    };
    let whole = poll_fn(|cx| exchange.poll(upstream.stream(), cx));
    let result = timeout_at(until, whole).await.unwrap_or(Err(Cause::RunClock));
    upstream.release(result.is_ok() && exchange.is_reusable());
    result
}

/// Both ways at once: a function may answer before it has read.
struct Exchange {
    head: Pending,
    body: Pending,
    is_head: bool,
    limits: Limits,
    answer: Answer,
    keeps: bool,
}

enum Answer {
    /// What came of the head.
    Head(Vec<u8>),
    Body(u16, BodyDecoder),
    Done(u16),
}

impl Exchange {
    fn poll(&mut self, upstream: &mut Stream, cx: &mut Context<'_>) -> Poll<Result<u16, Cause>> {
        while !self.head.is_empty() || !self.body.is_empty() {
            match upstream.poll_write_both(cx, self.head.rest(), self.body.rest()) {
                Poll::Pending => break,
                Poll::Ready(Ok(count)) => {
                    let of_head = count.min(self.head.rest().len());
                    self.head.consume(of_head);
                    self.body.consume(count - of_head);
                }
                // It may have answered all the same; what it says then is the last.
                Poll::Ready(Err(error)) if !self.head.is_empty() => {
                    return Poll::Ready(Err(Cause::UpstreamIo(error)));
                }
                Poll::Ready(Err(_)) => {
                    self.body = Pending::default();
                    self.keeps = false;
                }
            }
        }
        loop {
            if let Answer::Done(status) = self.answer {
                return Poll::Ready(Ok(status));
            }
            match upstream.poll_bytes(cx, |bytes, _| self.take(bytes)) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Cause::UpstreamIo(error))),
                Poll::Ready(Ok(Err(cause))) => return Poll::Ready(Err(cause)),
                Poll::Ready(Ok(Ok(()))) => {}
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Cause> {
        match &mut self.answer {
            Answer::Head(_) if bytes.is_empty() => Err(Cause::UpstreamClosed),
            Answer::Head(partial) => {
                partial.extend_from_slice(bytes);
                let partial = std::mem::take(partial);
                self.read_heads(&partial)
            }
            Answer::Body(status, decoder) if bytes.is_empty() => {
                decoder.end_of_input().map_err(Cause::BadBody)?;
                self.answer = Answer::Done(*status);
                Ok(())
            }
            Answer::Body(status, decoder) => {
                let used = decoder.advance(bytes).map_err(Cause::BadBody)?;
                self.keeps &= used == bytes.len();
                if decoder.is_done() {
                    self.answer = Answer::Done(*status);
                }
                Ok(())
            }
            Answer::Done(_) => Ok(()),
        }
    }

    fn read_heads(&mut self, mut bytes: &[u8]) -> Result<(), Cause> {
        loop {
            let parsed = http1::parse_response(bytes, self.is_head, &self.limits);
            let Some(head) = parsed.map_err(Cause::BadAnswer)? else {
                self.answer = Answer::Head(bytes.to_vec());
                return Ok(());
            };
            bytes = &bytes[head.len..];
            if head.is_interim() {
                continue;
            }
            if head.status == 101 {
                return Err(Cause::UnwantedUpgrade);
            }
            self.keeps = head.keep_alive && head.framing != Framing::UntilClose;
            let mut decoder = BodyDecoder::new(head.framing);
            let used = decoder.advance(bytes).map_err(Cause::BadBody)?;
            self.keeps &= used == bytes.len();
            self.answer = match decoder.is_done() {
                true => Answer::Done(head.status),
                false => Answer::Body(head.status, decoder),
            };
            return Ok(());
        }
    }

    /// The connection is between two messages.
    fn is_reusable(&self) -> bool {
        self.keeps && self.head.is_empty() && self.body.is_empty()
    }
}
