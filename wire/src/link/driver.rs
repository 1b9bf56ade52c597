//! The task that owns a connection's socket: reads for all calls at once, writes for all of them at once, and keeps
//! the clocks.

use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use hatchway_proto::link::frame::DataFront;
use hatchway_proto::link::{Frame, HEADER_BYTES, LinkError, LoadSummary, hello};
use tokio::time::Instant;

use super::block::{self, Block};
use super::settings::Settings;
use super::shared::{Ended, NewCall, Shared};
use crate::ticker::{Ticker, Timer};
use crate::{Stream, scratch};

/// Reads before other tasks of the core have their turn.
const READS: usize = 4;

/// What one half does that the other does not.
pub(super) trait Half {
    /// Waits for calls, and says how full it is. The other half asks for signs of life.
    const IS_NODE: bool;
    /// A gateway has opened a call.
    fn begin(&mut self, call: NewCall<'_>, shared: &Rc<Shared>);
    /// How full this program is.
    fn load(&self) -> LoadSummary;
}

/// Drives one connection until it is over.
pub(super) struct Driver<H> {
    shared: Rc<Shared>,
    half: H,
    timer: Timer,
    ticker: Ticker,
    /// The beginning of a frame whose rest has not come.
    tail: Vec<u8>,
    /// What is still to come of a DATA frame that has begun.
    rest: Option<DataFront>,
    began: Instant,
    heard: Instant,
    pinged: Instant,
    /// What was said last of how full this program is, and when that was looked at.
    load: (Option<LoadSummary>, Instant),
    /// Since when nothing is left to do for who drains.
    idle_since: Option<Instant>,
}

impl<H: Half> Driver<H> {
    pub(super) fn new(shared: Rc<Shared>, half: H, ticker: &Ticker) -> Self {
        let now = Instant::now();
        Self {
            shared,
            half,
            timer: ticker.timer(),
            ticker: ticker.clone(),
            tail: Vec::new(),
            rest: None,
            began: now,
            heard: now,
            pinged: now,
            load: (None, now),
            idle_since: None,
        }
    }

    /// One turn; ready when the connection is over and every call has been told.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.shared.state.borrow_mut().driven_by(cx.waker());
        let Err(why) = self.turn(cx) else { return Poll::Pending };
        tracing::debug!(error = %why, "a link is over");
        if let Ended::Ours(error) = why {
            let text = error.to_string();
            let goodbye = Frame::Error { code: error.code(), text: &text };
            self.shared.state.borrow_mut().send(&goodbye);
            // A peer that does not read is told by the close alone.
            let _ = self.write(cx);
        }
        if let Some(mut stream) = self.shared.stream.take() {
            // Behind TLS an end is said, or it looks like a cut.
            let _ = stream.poll_shutdown(cx);
        }
        self.shared.end(why);
        Poll::Ready(())
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        self.read(cx)?;
        let now = Instant::now();
        self.keep_time(now)?;
        self.write(cx)?;
        self.leave(now)?;
        self.timer.set(self.next_look());
        if self.timer.poll_at(now, cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Ok(())
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        for _ in 0..READS {
            let polled = block::with_block(|block| {
                let kept = self.tail.len();
                let buffer = Rc::get_mut(block).expect("nobody has a slice of it").buffer();
                let count = match self.shared.poll_read(cx, &mut buffer[kept..]) {
                    Poll::Pending => return Ok(Poll::Pending),
                    Poll::Ready(Ok(0)) => return Err(Ended::Closed),
                    Poll::Ready(Ok(count)) => count,
                    Poll::Ready(Err(error)) => return Err(Ended::Broken(Arc::new(error))),
                };
                buffer[..kept].copy_from_slice(&self.tail);
                self.take(block, kept + count).map(Poll::Ready)
            })?;
            if polled.is_pending() {
                return Ok(());
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Takes the frames that are whole, and what has come of DATA; keeps the rest.
    fn take(&mut self, block: &Rc<Block>, count: usize) -> Result<(), Ended> {
        self.heard = Instant::now();
        let bytes = &block.bytes()[..count];
        let mut used = 0;
        if let Some(front) = self.rest {
            used = front.length.min(count);
            self.pass_data(front, &bytes[..used], block)?;
        }
        while let Some((frame, length)) = Frame::decode(&bytes[used..]).map_err(Ended::Ours)? {
            if let Some(call) = self.shared.receive(frame, block)? {
                self.half.begin(call, &self.shared);
            }
            used += length;
        }
        if let Some(front) = DataFront::decode(&bytes[used..]).map_err(Ended::Ours)? {
            self.pass_data(front, &bytes[used + HEADER_BYTES..], block)?;
            used = count;
        }
        let rest = &bytes[used..];
        self.tail.clear();
        if rest.is_empty() {
            scratch::give(std::mem::take(&mut self.tail));
        } else {
            self.tail.extend_from_slice(rest);
        }
        Ok(())
    }

    /// Passes on what has come of a DATA frame.
    fn pass_data(
        &mut self,
        front: DataFront,
        bytes: &[u8],
        block: &Rc<Block>,
    ) -> Result<(), Ended> {
        let left = front.length - bytes.len();
        self.rest = (left > 0).then_some(DataFront { length: left, ..front });
        let frame = Frame::Data { call: front.call, end: front.end && left == 0, bytes };
        self.shared.receive(frame, block).map(drop)
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        let state = &mut *self.shared.state.borrow_mut();
        let mut stream = self.shared.stream.borrow_mut();
        let Some(stream) = stream.as_mut() else { return Err(Ended::Closed) };
        while state.out.waiting() > 0 {
            match stream.poll_write(cx, state.out.rest()) {
                Poll::Pending => break,
                Poll::Ready(Ok(count)) => state.out.consume(count),
                Poll::Ready(Err(error)) => return Err(Ended::Broken(Arc::new(error))),
            }
        }
        let waiting = state.out.waiting();
        if waiting <= self.shared.settings.out_bytes / 2 {
            state.offer_room();
        }
        if waiting > self.shared.settings.flood_bytes {
            return Err(Ended::Ours(LinkError::Flood));
        }
        Ok(())
    }

    /// Looks at the clocks, and says what is due.
    fn keep_time(&mut self, now: Instant) -> Result<(), Ended> {
        let settings = Rc::clone(&self.shared.settings);
        if self.shared.state.borrow().session.peer().is_none() {
            let is_late = now >= self.began + settings.hello_clock;
            return if is_late { Err(Ended::Ours(LinkError::Silence)) } else { Ok(()) };
        }
        let owed_since = self.shared.state.borrow().owed_since;
        if self.silent_since(owed_since).is_some_and(|since| now >= since + settings.silence) {
            return Err(Ended::Ours(LinkError::Silence));
        }
        if H::IS_NODE {
            self.tell_load(now, &settings);
        } else if owed_since.is_none() && now >= self.pinged + settings.ping_every {
            self.pinged = now;
            let state = &mut *self.shared.state.borrow_mut();
            state.owed_since = Some(now);
            state.send(&Frame::Ping(0));
        }
        Ok(())
    }

    /// Since when nothing has come although something should have: a node is asked by gateways time and again, a gateway waits for
    /// the answer when it has asked.
    fn silent_since(&self, owed_since: Option<Instant>) -> Option<Instant> {
        if H::IS_NODE { Some(self.heard) } else { owed_since.map(|asked| asked.max(self.heard)) }
    }

    /// Says how full this program is, if that has changed, and that it drains.
    fn tell_load(&mut self, now: Instant, settings: &Settings) {
        let state = &mut *self.shared.state.borrow_mut();
        if self.ticker.is_draining() && !state.is_draining {
            state.is_draining = true;
            let hears = state.session.peer().is_some_and(|peer| peer.features & hello::HEIRS != 0);
            state.has_heir = hears && self.ticker.has_heir();
            state.send(&Frame::Drain { heir: state.has_heir });
        }
        // How full the node is, the other one says.
        if state.has_heir {
            return;
        }
        // Where a write is made anyway, sooner.
        let every = if state.out.waiting() > 0 { settings.load_fresh } else { settings.load_every };
        if self.load.0.is_some() && now < self.load.1 + every {
            return;
        }
        let load = self.half.load();
        if self.load.0 != Some(load) {
            state.send(&Frame::Load(load));
        }
        self.load = (Some(load), now);
    }

    /// Ends a connection that is being drained, once nothing is left: a gateway closes, and a node waits for that.
    fn leave(&mut self, now: Instant) -> Result<(), Ended> {
        let state = self.shared.state.borrow();
        let has_sent = state.out.waiting() == 0 && !self.shared.holds_unsent();
        let is_idle = state.is_draining && state.calls.is_empty() && has_sent;
        if !is_idle {
            self.idle_since = None;
            return Ok(());
        }
        let since = *self.idle_since.get_or_insert(now);
        if !H::IS_NODE || now >= since + self.shared.settings.drain_grace {
            return Err(Ended::Drained);
        }
        Ok(())
    }

    fn next_look(&self) -> Instant {
        let settings = &self.shared.settings;
        if self.shared.state.borrow().session.peer().is_none() {
            return self.began + settings.hello_clock;
        }
        let owed_since = self.shared.state.borrow().owed_since;
        let mut next = match self.silent_since(owed_since) {
            _ if H::IS_NODE => self.load.1 + settings.load_every,
            Some(since) => since + settings.silence,
            None => self.pinged + settings.ping_every,
        };
        if let Some(since) = self.idle_since {
            next = next.min(since + settings.drain_grace);
        }
        next
    }
}

/// Tells the other end of a connection that is none why it is closed.
pub(super) fn say_goodbye(mut stream: Stream, error: LinkError) {
    let (mut bytes, text) = (Vec::new(), error.to_string());
    Frame::Error { code: error.code(), text: &text }.encode(&mut bytes);
    // The buffer of a new socket takes it at once, or the close says it alone.
    let _ = stream.poll_write(&mut Context::from_waker(Waker::noop()), &bytes);
    stream.close();
}
