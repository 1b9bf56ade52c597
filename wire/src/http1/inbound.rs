//! A client's connection: heads are read, requests are served one after the other, and between two of
//! them the connection owns no buffer.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hatchway_proto::http1::{self, BodyDecoder, Framing, Limits};
use tokio::time::Instant;

use crate::http1::answer::{Answer, Body};
use crate::http1::copy::Pending;
use crate::http1::exchange::{self, Cause, Next, Outcome};
use crate::http1::relay::Halves;
use crate::http1::service::{Peer, Refused, Request, Service};
use crate::ticker::{Ticker, Timer};
use crate::{Stream, scratch};

/// Limits of a client's connection.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What a head may hold.
    pub limits: Limits,
    /// From the first byte of a head to its last, however the bytes dribble in.
    pub head_clock: Duration,
    /// Between two requests.
    pub keep_alive: Duration,
    /// Without a byte of our own answer being taken.
    pub write_clock: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            // A head is one packet or a few; ten seconds is a very bad line.
            head_clock: Duration::from_secs(10),
            // Longer than what common clients and load balancers keep (60 s), so that they close first.
            keep_alive: Duration::from_secs(75),
            write_clock: Duration::from_secs(30),
        }
    }
}

/// After our last byte, what a client may still send before it has read it (RFC 9112 section 9.6).
const LINGER_BYTES: usize = 64 * 1024;
const LINGER: Duration = Duration::from_secs(2);

/// What a waiting request may send of its body before there is somebody to read it.
const AHEAD_BYTES: usize = 64 * 1024;

/// A client's connection between and during requests.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) stream: Stream,
    /// Read, but not used yet: part of a head, of a body, or the next request.
    pub(super) ahead: Vec<u8>,
    pub(super) timer: Timer,
    ticker: Ticker,
    write_clock: Duration,
}

/// Serves a connection until either side ends it or the core drains.
pub async fn serve<S: Service>(
    stream: Stream,
    peer: Peer,
    service: &S,
    settings: &Settings,
    ticker: &Ticker,
) {
    let mut client = Client {
        stream,
        ahead: Vec::new(),
        timer: ticker.timer(),
        ticker: ticker.clone(),
        write_clock: settings.write_clock,
    };
    loop {
        let next = match client.read_head(service, peer, settings).await {
            Head::Call(call) => Box::pin(exchange::exchange(&mut client, service, call)).await,
            Head::Answer(answer) => client.answer_head(service, answer).await,
            Head::End => return,
        };
        match next {
            Next::Request => {}
            Next::Linger => return client.linger().await,
            Next::Cut => return,
        }
    }
}

/// What came of waiting for a head.
enum Head<C> {
    Call(C),
    Answer(Answer),
    End,
}

impl Client {
    /// Waits for a request. An idle connection ends without a word, a slow head is told so.
    async fn read_head<S: Service>(
        &mut self,
        service: &S,
        peer: Peer,
        settings: &Settings,
    ) -> Head<S::Call> {
        let mut begun: Option<Instant> = None;
        let idle_since = Instant::now();
        // What is there may already hold a head: a client that sends ahead.
        let mut has_news = !self.ahead.is_empty();
        poll_fn(move |cx| {
            loop {
                if has_news && let Some(head) = self.parse(service, peer, &settings.limits) {
                    return Poll::Ready(head);
                }
                if begun.is_none() && !self.ahead.is_empty() {
                    begun = Some(Instant::now());
                }
                let deadline = match begun {
                    None if self.ticker.is_draining() => return Poll::Ready(Head::End),
                    None => idle_since + settings.keep_alive,
                    Some(since) => since + settings.head_clock,
                };
                self.timer.set(deadline);
                match self.poll_more(service, peer, &settings.limits, cx) {
                    Poll::Ready(More::Head(head)) => return Poll::Ready(head),
                    Poll::Ready(More::News(is_news)) => has_news = is_news,
                    Poll::Pending => break,
                }
            }
            ready!(self.timer.poll(cx));
            Poll::Ready(match begun {
                None => Head::End,
                Some(_) => Head::Answer(service.refuse(&Refused::TooSlow)),
            })
        })
        .await
    }

    /// Reads once. A head that is complete in one read, as nearly all are, is never copied.
    fn poll_more<S: Service>(
        &mut self,
        service: &S,
        peer: Peer,
        limits: &Limits,
        cx: &mut Context<'_>,
    ) -> Poll<More<S::Call>> {
        scratch::with_scratch(|buffer| {
            let count = match ready!(self.stream.poll_read(cx, buffer)) {
                Ok(0) | Err(_) => return Poll::Ready(More::Head(Head::End)),
                Ok(count) => count,
            };
            let bytes = &buffer[..count];
            if self.ahead.is_empty() {
                return Poll::Ready(match begin(bytes, service, peer, limits) {
                    Begun::Partial => {
                        self.ahead.extend_from_slice(bytes);
                        More::News(false)
                    }
                    Begun::Head(head, used) => {
                        self.ahead.extend_from_slice(&bytes[used..]);
                        More::Head(head)
                    }
                });
            }
            // A head can only be complete, or wrong, at the end of a line: one parse a line, not a byte.
            let is_news = bytes.contains(&b'\n') || self.ahead.len() + count > limits.head_bytes;
            self.ahead.extend_from_slice(bytes);
            Poll::Ready(More::News(is_news))
        })
    }

    fn parse<S: Service>(
        &mut self,
        service: &S,
        peer: Peer,
        limits: &Limits,
    ) -> Option<Head<S::Call>> {
        match begin(&self.ahead, service, peer, limits) {
            Begun::Partial => None,
            Begun::Head(head, used) => {
                self.ahead.drain(..used);
                if self.ahead.is_empty() {
                    scratch::give(std::mem::take(&mut self.ahead));
                }
                Some(head)
            }
        }
    }

    /// Answers a request that was refused by its head alone.
    async fn answer_head<S: Service>(&mut self, service: &S, answer: Answer) -> Next {
        let mut outcome = Outcome { is_ours: true, ..Outcome::default() };
        // Where the next request would begin is not known any more.
        self.ahead.clear();
        let next = self.send(answer.closing(), &Request::spent(), false, &mut outcome).await;
        service.finish(None, &outcome);
        next
    }

    /// Waits for `work` as long as the client is there; what it sends meanwhile is kept, up to a bound.
    pub(super) async fn unless_gone<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(result) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(result));
            }
            while self.ahead.len() < AHEAD_BYTES {
                let read = scratch::with_scratch(|buffer| {
                    let read = self.stream.poll_read(cx, buffer);
                    if let Poll::Ready(Ok(count)) = read {
                        self.ahead.extend_from_slice(&buffer[..count]);
                    }
                    read
                });
                match read {
                    Poll::Pending => break,
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(None),
                    Poll::Ready(Ok(_)) => {}
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Takes an unread body off the connection where it has arrived whole. False: the connection cannot
    /// be used again, for its next byte is not the next request.
    pub(super) fn skip_body(&mut self, request: &Request) -> bool {
        if request.framing == Framing::None {
            return true;
        }
        let mut body = BodyDecoder::new(request.framing);
        match body.advance(&self.ahead) {
            Ok(used) if body.is_done() => {
                self.ahead.drain(..used);
                true
            }
            Ok(_) | Err(_) => false,
        }
    }

    /// What a relay uses of this connection.
    pub(super) fn halves(&mut self) -> Halves<'_> {
        Halves {
            stream: &mut self.stream,
            ahead: &mut self.ahead,
            timer: &self.timer,
            is_draining: self.ticker.is_draining(),
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
        answer.write_head(&mut pending.bytes, request.version, keep);
        outcome.status = answer.status;
        outcome.is_ours = true;
        outcome.first_byte = request.arrived.elapsed();
        let sent = match &answer.body {
            _ if request.is_head => self.flush(&mut pending, outcome).await,
            Body::Bytes(bytes) => {
                pending.bytes.extend_from_slice(bytes);
                self.flush(&mut pending, outcome).await
            }
            Body::File { file, offset, len } => {
                self.send_file(&mut pending, file, *offset, *len, outcome).await
            }
        };
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
                pending.bytes.extend_from_slice(&buffer[..count]);
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
        self.timer.set(Instant::now() + self.write_clock);
        poll_fn(|cx| {
            while !pending.is_empty() {
                match pending.poll_flush(&mut self.stream, cx) {
                    Poll::Ready(Ok(count)) => {
                        outcome.response_bytes += count as u64;
                        self.timer.set(Instant::now() + self.write_clock);
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(Cause::ClientGone)),
                    Poll::Pending => {
                        ready!(self.timer.poll(cx));
                        return Poll::Ready(Err(Cause::IdleClock));
                    }
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Lets the client read our last answer before a reset could destroy it: shuts our half down and
    /// reads on for a bounded while.
    async fn linger(mut self) {
        self.timer.set(Instant::now() + LINGER);
        let mut left = LINGER_BYTES;
        poll_fn(|cx| {
            if self.stream.poll_shutdown(cx)?.is_pending() {
                return self.timer.poll(cx).map(Ok);
            }
            while left > 0 {
                match scratch::with_scratch(|buffer| self.stream.poll_read(cx, buffer))? {
                    Poll::Ready(0) => return Poll::Ready(std::io::Result::Ok(())),
                    Poll::Ready(count) => left = left.saturating_sub(count),
                    Poll::Pending => return self.timer.poll(cx).map(Ok),
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
        .unwrap_or_default();
    }
}

/// What came of one read.
enum More<C> {
    Head(Head<C>),
    /// More bytes; true when they may have completed the head.
    News(bool),
}

enum Begun<C> {
    Partial,
    Head(Head<C>, usize),
}

/// Reads a head and hands it to the service while its bytes are there.
fn begin<S: Service>(bytes: &[u8], service: &S, peer: Peer, limits: &Limits) -> Begun<S::Call> {
    match http1::parse_request(bytes, limits) {
        Ok(None) => Begun::Partial,
        Ok(Some(head)) => match service.begin(&head, peer) {
            Ok(call) => Begun::Head(Head::Call(call), head.len),
            Err(answer) => Begun::Head(Head::Answer(answer), head.len),
        },
        Err(error) => Begun::Head(Head::Answer(service.refuse(&Refused::Head(error))), 0),
    }
}
