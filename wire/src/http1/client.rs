//! A client's connection, whatever it is being used for.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Poll, ready};

use hatchway_proto::http1::BodyDecoder;
use tokio::time::Instant;

use crate::http1::ahead::Ahead;
use crate::http1::answer::{Answer, Body};
use crate::http1::exchange::{Cause, Next, Outcome};
use crate::http1::pending::Pending;
use crate::http1::service::Request;
use crate::http1::settings::Settings;
use crate::ticker::{self, Ticker, Timer};
use crate::{Stream, scratch};

/// The connection between and during requests.
#[derive(Debug)]
pub(super) struct Client<'c> {
    pub(super) stream: Stream,
    pub(super) ahead: Ahead,
    pub(super) timer: Timer,
    pub(super) ticker: &'c Ticker,
    pub(super) settings: &'c Settings,
}

impl<'c> Client<'c> {
    pub(super) fn new(stream: Stream, settings: &'c Settings, ticker: &'c Ticker) -> Self {
        Self { stream, ahead: Ahead::default(), timer: ticker.timer(), ticker, settings }
    }

    /// Waits for `work` as long as the client is there; what it sends meanwhile is kept, up to a bound.
    pub(super) async fn unless_gone<T>(
        &mut self,
        mut work: Pin<Box<impl Future<Output = T>>>,
    ) -> Option<T> {
        let mut has_waited = false;
        poll_fn(|cx| {
            if let Poll::Ready(result) = work.as_mut().poll(cx) {
                if has_waited {
                    ticker::now();
                }
                return Poll::Ready(Some(result));
            }
            if self.ahead.hears_end(&mut self.stream, cx) {
                return Poll::Ready(None);
            }
            has_waited = true;
            Poll::Pending
        })
        .await
    }

    /// Takes an unread body off the connection where it has arrived whole. False: the connection cannot
    /// be used again, for its next byte is not the next request.
    pub(super) fn skip_body(&mut self, request: &Request) -> bool {
        let mut body = BodyDecoder::new(request.framing);
        match body.advance(self.ahead.bytes()) {
            Ok(used) if body.is_done() => {
                self.ahead.consume(used);
                true
            }
            Ok(_) | Err(_) => false,
        }
    }

    /// Sends an answer of ours.
    pub(super) async fn send(
        &mut self,
        answer: Answer,
        request: &Request,
        keep: bool,
        outcome: &mut Outcome,
    ) -> Next {
        let keep = keep && !answer.close && !self.ticker.is_draining();
        let mut pending = Pending::new(scratch::take());
        answer.write_head(pending.buffer(), request.version, keep);
        outcome.status = answer.status;
        outcome.is_ours = true;
        outcome.first_byte = request.arrived.elapsed();
        let sent = match &answer.body {
            _ if request.is_head || answer.is_bodiless() => self.flush(&mut pending, outcome).await,
            Body::Bytes(bytes) => {
                pending.buffer().extend_from_slice(bytes);
                self.flush(&mut pending, outcome).await
            }
            Body::File { file, offset, len } => {
                self.send_file(&mut pending, file, *offset, *len, outcome).await
            }
        };
        ticker::now();
        match sent {
            Ok(()) if keep => Next::Request,
            Ok(()) => Next::Linger,
            Err(cause) => {
                outcome.broken = Some(cause);
                Next::Cut
            }
        }
    }

    async fn send_file(
        &mut self,
        pending: &mut Pending,
        file: &std::fs::File,
        mut offset: u64,
        mut left: u64,
        outcome: &mut Outcome,
    ) -> Result<(), Cause> {
        use std::os::unix::fs::FileExt;
        loop {
            self.flush(pending, outcome).await?;
            if left == 0 {
                return Ok(());
            }
            let count = scratch::with_scratch(|buffer| {
                let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                let count = file.read_at(&mut buffer[..want], offset)?;
                pending.buffer().extend_from_slice(&buffer[..count]);
                std::io::Result::Ok(count)
            })
            .map_err(Cause::UpstreamIo)?;
            if count == 0 {
                // The file became shorter than its head said: the client must see that.
                return Err(Cause::UpstreamClosed);
            }
            offset += count as u64;
            left -= count as u64;
        }
    }

    async fn flush(&mut self, pending: &mut Pending, outcome: &mut Outcome) -> Result<(), Cause> {
        self.timer.set(Instant::now() + self.settings.write_clock);
        poll_fn(|cx| {
            while !pending.is_empty() {
                match pending.poll_flush(&mut self.stream, cx) {
                    Poll::Ready(Ok(count)) => {
                        outcome.response_bytes += count as u64;
                        self.timer.set(Instant::now() + self.settings.write_clock);
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(Cause::ClientGone)),
                    Poll::Pending => {
                        ready!(self.timer.poll(cx));
                        return Poll::Ready(Err(Cause::ClientStalled));
                    }
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Lets the client read our last answer before a reset could destroy it (RFC 9112 section 9.6): ends our
    /// half, then reads on for a bounded while. What is more than the bound stays unread, and holds the
    /// connection until the clock has run out.
    pub(super) async fn linger(mut self) {
        let linger = self.settings.linger;
        self.timer.set(Instant::now() + linger.clock);
        let mut left = linger.bytes;
        poll_fn(|cx| {
            match self.stream.poll_shutdown(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => return self.timer.poll(cx),
            }
            while left > 0 {
                match scratch::with_scratch(|buffer| self.stream.poll_read(cx, buffer)) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                    Poll::Ready(Ok(count)) => left = left.saturating_sub(count),
                    Poll::Pending => break,
                }
            }
            self.timer.poll(cx)
        })
        .await;
    }
}
