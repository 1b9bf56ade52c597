//! One client's connection: its frames, its streams, and when it ends.
//!
//! The streams are futures of the connection's own task. A turn polls those that are ready, lets `h2` turn what
//! they said into frames, and writes once. All of them end with their connection.

use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, Stream as _, StreamExt};
use h2::server::{self, SendResponse};
use h2::{Reason, RecvStream};
use tokio::time::Instant;

use crate::Stream;
use crate::http1::{Front, Peer, Settings as Common};
use crate::http2::exchange::{Ended, Shared, exchange};
use crate::http2::line::Line;
use crate::http2::settings::Settings;
use crate::ticker::{self, Ticker, Timer};

/// Serves a connection whose first bytes, which are in `read`, are those of HTTP/2, until either side ends it.
/// When the core drains, the client is told, and what runs is finished.
pub async fn serve<S: Front>(
    (stream, read): (Stream, Vec<u8>),
    peer: Peer<'_>,
    service: &S,
    (common, settings): (&Common, &Settings),
    ticker: &Ticker,
) {
    let (line, timer) = (Line::new(stream, read, settings), ticker.timer());
    let peer = Peer { is_http2: true, ..peer };
    let Some(h2) = shake_hands(&line, &timer, common, settings).await else { return };
    let shared = Shared { service, peer, settings: common, ticker };
    let start = |request, stream| {
        // A panic is the end of one request.
        AssertUnwindSafe(exchange(&shared, request, stream)).catch_unwind().map(|ended| {
            ended.unwrap_or_else(|_| {
                tracing::error!("a request ended by a panic");
                Ended::Served
            })
        })
    };
    let mut connection = Connection {
        h2,
        line,
        timer,
        common,
        settings,
        ticker,
        streams: FuturesUnordered::new(),
        idle_since: Instant::now(),
        cancelled: 0,
        leaving_since: None,
        is_cut: false,
    };
    poll_fn(|cx| connection.poll(&start, cx)).await;
    let Connection { h2, line, mut streams, .. } = connection;
    // Tells the streams, which then end at once.
    drop(h2);
    while streams.next().await.is_some() {}
    // What was cut is known by its stream, not by the end of the connection.
    line.close();
}

/// Exchanges settings; a client that does not say its own in time is left.
async fn shake_hands(
    line: &Line,
    timer: &Timer,
    common: &Common,
    settings: &Settings,
) -> Option<server::Connection<Line, Bytes>> {
    let mut handshake = pin!(settings.builder().handshake(line.clone()));
    timer.set(Instant::now() + common.head_clock);
    poll_fn(|cx| {
        let polled = handshake.as_mut().poll(cx);
        match line.poll_drain(cx) {
            Poll::Ready(Err(_)) => return Poll::Ready(None),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        if let Poll::Ready(result) = polled {
            return Poll::Ready(result.ok());
        }
        timer.poll(cx).map(|()| None)
    })
    .await
}

struct Connection<'c, F> {
    h2: server::Connection<Line, Bytes>,
    line: Line,
    timer: Timer,
    common: &'c Common,
    settings: &'c Settings,
    ticker: &'c Ticker,
    streams: FuturesUnordered<F>,
    idle_since: Instant,
    /// Requests that the client gave up, less those that ended otherwise.
    cancelled: u32,
    /// When the client was told that this connection takes no more.
    leaving_since: Option<Instant>,
    /// It brought nothing for too long.
    is_cut: bool,
}

impl<F: Future<Output = Ended>> Connection<'_, F> {
    /// One turn; ready when the connection is over.
    fn poll(
        &mut self,
        start: &impl Fn(http::Request<RecvStream>, SendResponse<Bytes>) -> F,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        // The one look at the clock of this turn, for all streams that are served in it.
        ticker::now();
        self.poll_streams(cx);
        if self.poll_frames(start, cx).is_ready() {
            return Poll::Ready(());
        }
        if self.line.has_glitches() && !std::mem::replace(&mut self.is_cut, true) {
            tracing::debug!("a connection that brings nothing is ended");
            self.h2.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            // The frame that says so is made in the next turn.
            cx.waker().wake_by_ref();
        }
        // What the new streams say at once wakes this task by itself, for the next turn.
        self.poll_streams(cx);
        if let Poll::Ready(Err(_)) = self.line.poll_drain(cx) {
            return Poll::Ready(());
        }
        self.poll_clock(cx)
    }

    fn poll_streams(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(ended)) = std::pin::Pin::new(&mut self.streams).poll_next(cx) {
            self.idle_since = ticker::recent();
            match ended {
                Ended::Served => self.cancelled = self.cancelled.saturating_sub(1),
                Ended::Cancelled => self.cancelled += 1,
            }
            if self.cancelled > self.settings.cancels {
                tracing::debug!("a connection that only cancels is ended");
                self.h2.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            }
        }
    }

    /// Reads frames, and begins the streams that they open. A client may reset a stream and open another at once: what
    /// counts is how many requests run here, and no more are begun while that is the limit.
    fn poll_frames(
        &mut self,
        start: &impl Fn(http::Request<RecvStream>, SendResponse<Bytes>) -> F,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let limit = usize::try_from(self.settings.streams).unwrap_or(usize::MAX);
        while self.streams.len() < limit {
            match self.h2.poll_accept(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok((request, stream)))) => {
                    self.streams.push(start(request, stream));
                }
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(%error, "a connection over HTTP/2 is ended");
                    return Poll::Ready(());
                }
                Poll::Ready(None) => return Poll::Ready(()),
            }
        }
        self.h2.poll_closed(cx).map(|_| ())
    }

    /// Ends what is idle for long, what drains, and what does not take its frames.
    fn poll_clock(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = ticker::recent();
        if self.leaving_since.is_none() && self.wants_to_leave(now) {
            self.leaving_since = Some(now);
            self.h2.graceful_shutdown();
            // The frame that says so is made in the next turn.
            cx.waker().wake_by_ref();
        }
        let is_idle = self.streams.is_empty();
        let ends = [
            self.line.stalled_since().map(|since| since + self.common.write_clock),
            self.leaving_since
                .filter(|_| is_idle)
                .map(|since| since.max(self.idle_since) + self.common.linger.clock),
        ];
        let end = ends.into_iter().flatten().min();
        if end.is_some_and(|end| end <= now) {
            return Poll::Ready(());
        }
        let idle = (is_idle && self.leaving_since.is_none()).then(|| self.idle_until());
        match end.into_iter().chain(idle).min() {
            Some(next) => self.timer.set(next),
            None => self.timer.clear(),
        }
        if self.timer.poll_at(now, cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn idle_until(&self) -> Instant {
        self.idle_since + self.common.keep_alive
    }

    fn wants_to_leave(&self, now: Instant) -> bool {
        self.ticker.is_draining() || (self.streams.is_empty() && self.idle_until() <= now)
    }
}
