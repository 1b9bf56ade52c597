//! What all calls of a connection share with the task that drives it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use foldhash::fast::RandomState;
use hatchway_proto::link::{
    AnswerHead, CallHead, Cancel, Flow, Frame, Hello, LinkError, Session, Side, frame,
};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::block::Block;
use super::call::PIECE_BYTES;
use super::cell::{CallCell, Cell, Over, Refused};
use super::load::{NodeLoad, Teller};
use super::out::Out;
use super::secure::Insecure;
use super::settings::Settings;
use crate::Stream;
use crate::pipe::is_plain;

/// Why a connection is over.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Ended {
    /// By the other end, without a word.
    #[error("the other end closed the connection")]
    Closed,
    /// By the network.
    #[error("the connection broke")]
    Broken(#[source] Arc<io::Error>),
    /// Before it began: the other end did not show who it is, or does not take us for who we are.
    #[error("the link is not encrypted")]
    Insecure(#[source] Arc<Insecure>),
    /// By us.
    #[error("the other end broke a rule: {0}")]
    Ours(LinkError),
    /// By the other end, which said why.
    #[error("the other end gave the connection up: {0}")]
    Theirs(Box<str>),
    /// Its last call is over, and it takes no more.
    #[error("the connection was drained")]
    Drained,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) state: RefCell<State>,
    /// Until the end. The driver reads from it and writes to it, calls write what is long.
    pub(super) stream: RefCell<Option<Stream>>,
    pub(super) settings: Rc<Settings>,
    /// Told when the greeting has come, and at the end.
    pub(super) changed: Notify,
}

#[derive(Debug)]
pub(super) struct State {
    side: Side,
    pub(super) session: Session,
    pub(super) calls: HashMap<u64, Rc<CallCell>, RandomState>,
    pub(super) out: Out,
    /// Calls that wait for the socket.
    rooms: Vec<Rc<CallCell>>,
    driver: Option<Waker>,
    pub(super) over: Option<Ended>,
    /// Bytes that the other end may send or that nobody has read, of all calls.
    promised: u64,
    /// The other end opens, or takes, no further call.
    pub(super) is_draining: bool,
    /// It drains because another process of the same node takes over at this address.
    pub(super) has_heir: bool,
    /// Gateway: since when an answer to a ping is waited for.
    pub(super) owed_since: Option<Instant>,
    /// Gateway: who is told what the node says of its load.
    teller: Option<Teller>,
}

/// A call that a gateway has opened.
#[derive(Debug)]
pub(super) struct NewCall<'b> {
    pub(super) cell: Rc<CallCell>,
    pub(super) about: CallHead<'b>,
    pub(super) head: &'b [u8],
}

impl Shared {
    pub(super) fn new(
        (side, hello): (Side, Hello),
        stream: Stream,
        settings: Rc<Settings>,
        load: Option<Arc<NodeLoad>>,
    ) -> Self {
        let mut out = Out::default();
        Frame::Hello(hello).encode(out.buffer());
        let state = State {
            side,
            session: Session::new(side, hello),
            calls: HashMap::default(),
            out,
            rooms: Vec::new(),
            driver: None,
            over: None,
            promised: 0,
            is_draining: false,
            has_heir: false,
            owed_since: None,
            teller: load.map(Teller::new),
        };
        let stream = RefCell::new(Some(stream));
        Self { state: RefCell::new(state), stream, settings, changed: Notify::new() }
    }

    /// As [`Stream::poll_read`].
    pub(super) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self.stream.borrow_mut() {
            Some(stream) => stream.poll_read(cx, buffer),
            None => Poll::Ready(Ok(0)),
        }
    }

    /// True while the socket has not taken all that was written.
    pub(super) fn holds_unsent(&self) -> bool {
        self.stream.borrow().as_ref().is_some_and(Stream::holds_unsent)
    }

    /// Takes a frame, or a part of one of DATA, that stands in `block`. Gives a call that it opened.
    ///
    /// # Errors
    /// The end of the connection.
    pub(super) fn receive<'b>(
        &self,
        frame: Frame<'b>,
        block: &Rc<Block>,
    ) -> Result<Option<NewCall<'b>>, Ended> {
        let state = &mut *self.state.borrow_mut();
        state.session.receive(&frame).map_err(Ended::Ours)?;
        // Whatever a node sends of a call says that it has taken it.
        let accepts = state.side == Side::Gateway;
        match frame {
            Frame::Data { call, end, bytes } => {
                state.deliver(call, |cell| {
                    cell.flow.take_data(bytes.len(), end).map_err(|_| Cancel::Protocol)?;
                    cell.put(bytes, block);
                    cell.is_accepted |= accepts;
                    cell.wake_reader();
                    Ok(())
                });
            }
            Frame::Answer { call, end, about, bytes } => {
                state.deliver(call, |cell| {
                    cell.flow.take_data(bytes.len(), end).map_err(|_| Cancel::Protocol)?;
                    if std::mem::replace(&mut cell.is_told, true) {
                        return Err(Cancel::Protocol);
                    }
                    // Behind an interim head that nobody has read it is parsed, as that is.
                    cell.told = (!cell.has_unread()).then_some(about);
                    cell.put(bytes, block);
                    cell.is_accepted |= accepts;
                    cell.wake_reader();
                    Ok(())
                });
            }
            Frame::Credit { call, bytes } => {
                state.deliver(call, |cell| {
                    cell.flow.take_credit(bytes).map_err(|_| Cancel::Protocol)?;
                    cell.is_accepted |= accepts;
                    cell.wake_writer();
                    Ok(())
                });
            }
            Frame::Cancel { call, reason } => state.end_call(call, Over::Cancelled(reason)),
            Frame::Refused { call, refusal } => {
                state.deliver(call, |cell| {
                    if cell.is_accepted {
                        return Err(Cancel::Protocol);
                    }
                    let answer = refusal.answer.to_vec();
                    cell.refused = Some(Refused { elsewhere: refusal.elsewhere, answer });
                    cell.wake_reader();
                    cell.wake_writer();
                    Ok(())
                });
                state.remove(call);
            }
            Frame::Call { call, about, head } => {
                let cell = state.take_call(call, &about, &self.settings).map_err(Ended::Ours)?;
                return Ok(Some(NewCall { cell, about, head }));
            }
            Frame::Hello(_) => self.changed.notify_waiters(),
            Frame::Load(load) => {
                state.is_draining |= load.is_draining;
                if let Some(teller) = &mut state.teller {
                    teller.tell(load);
                }
            }
            Frame::Drain { heir } => (state.is_draining, state.has_heir) = (true, heir),
            Frame::Ping(number) => state.send(&Frame::Pong(number)),
            Frame::Pong(_) => state.owed_since = None,
            Frame::Error { text, .. } => return Err(Ended::Theirs(text.into())),
        }
        Ok(None)
    }

    /// Has data written from where it is, as far as the socket takes it now; the rest is queued. There is credit for all of it.
    pub(super) fn send_long(&self, state: &mut State, cell: &mut Cell, mut parts: Parts<'_>) {
        let mut stream = self.stream.borrow_mut();
        let Some(stream) = stream.as_mut().filter(|stream| is_plain(stream)) else {
            return state.send_data(cell, parts);
        };
        cell.flow.sent(parts.0.len() + parts.1.len());
        while let Some((one, two)) = split(&mut parts) {
            cell.last_frame = Some(state.out.position());
            frame::encode_data_front(state.out.buffer(), cell.id, one.len() + two.len());
            state.out.write_with(stream, one, two);
        }
        if state.out.waiting() > 0 {
            state.wake_driver();
        }
    }

    /// The connection is over: every call hears of it.
    pub(super) fn end(&self, why: Ended) {
        let state = &mut *self.state.borrow_mut();
        state.over.get_or_insert(why);
        state.rooms.clear();
        state.teller = None;
        for (_, cell) in state.calls.drain() {
            let mut cell = cell.borrow_mut();
            let was_written = state.out.is_begun(cell.first_frame);
            cell.end(Over::Lost { was_written });
        }
        self.changed.notify_waiters();
    }
}

impl State {
    /// Queues a frame, and sees to it that it is written.
    pub(super) fn send(&mut self, frame: &Frame<'_>) {
        if self.over.is_none() {
            frame.encode(self.out.buffer());
            self.wake_driver();
        }
    }

    /// Queues data. There is credit for all of it.
    pub(super) fn send_data(&mut self, cell: &mut Cell, mut parts: Parts<'_>) {
        cell.flow.sent(parts.0.len() + parts.1.len());
        while let Some((one, two)) = split(&mut parts) {
            cell.last_frame = Some(self.out.position());
            frame::encode_data(self.out.buffer(), cell.id, one, two);
        }
        self.wake_driver();
    }

    /// Queues the head of an answer, told of, and what follows it. There is credit for all of it.
    pub(super) fn send_answer(&mut self, cell: &mut Cell, about: AnswerHead, parts: Parts<'_>) {
        cell.flow.sent(parts.0.len() + parts.1.len());
        cell.last_frame = Some(self.out.position());
        frame::encode_answer(self.out.buffer(), cell.id, about, parts.0, parts.1);
        self.wake_driver();
    }

    /// The driver writes, and looks at how things stand, once all who are ready have had their turn.
    pub(super) fn wake_driver(&mut self) {
        if let Some(waker) = self.driver.take() {
            waker.wake();
        }
    }

    /// Whom to wake.
    pub(super) fn driven_by(&mut self, waker: &Waker) {
        if !self.driver.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.driver = Some(waker.clone());
        }
    }

    /// The call's writer is told when the socket has taken enough.
    pub(super) fn wait_for_room(&mut self, cell: &Rc<CallCell>, inner: &mut Cell) {
        if !std::mem::replace(&mut inner.waits_for_room, true) {
            self.rooms.push(Rc::clone(cell));
        }
    }

    /// The socket has taken enough.
    pub(super) fn offer_room(&mut self) {
        for cell in self.rooms.drain(..) {
            let mut cell = cell.borrow_mut();
            cell.waits_for_room = false;
            cell.wake_writer();
        }
    }

    /// What a new call may be sent before its reader has taken anything.
    pub(super) fn first_credit(&self, settings: &Settings) -> u32 {
        if self.promised < settings.budget { settings.first_credit } else { settings.tight }
    }

    /// Counts again what is promised to a call, after it changed.
    pub(super) fn count(&mut self, cell: &mut Cell) {
        let now = cell.flow.promised();
        self.promised = self.promised + now - std::mem::replace(&mut cell.counted, now);
    }

    /// Gives the credit that is due after a read.
    pub(super) fn grant(&mut self, cell: &mut Cell, settings: &Settings) {
        let is_tight = self.promised >= settings.budget;
        let window = if is_tight { settings.tight } else { settings.window };
        if let Some(bytes) = cell.flow.grant(window) {
            self.send(&Frame::Credit { call: cell.id, bytes });
        }
        self.count(cell);
    }

    /// Forgets a call: frames about it that are still on their way are ignored.
    pub(super) fn remove(&mut self, call: u64) {
        self.calls.remove(&call);
        if self.calls.is_empty() && self.is_draining {
            self.wake_driver();
        }
    }

    /// What was promised to a call that is over is promised no more.
    pub(super) fn uncount(&mut self, cell: &mut Cell) {
        self.promised -= std::mem::take(&mut cell.counted);
    }

    fn deliver(&mut self, call: u64, change: impl FnOnce(&mut Cell) -> Result<(), Cancel>) {
        let Some(cell) = self.calls.get(&call).map(Rc::clone) else { return };
        let cell = &mut *cell.borrow_mut();
        match change(cell) {
            Ok(()) => self.count(cell),
            Err(reason) => {
                tracing::warn!(call, "the other end of a link broke a rule about a call");
                cell.end(Over::Cancelled(reason));
                self.send(&Frame::Cancel { call, reason });
                self.remove(call);
            }
        }
    }

    fn end_call(&mut self, call: u64, over: Over) {
        if let Some(cell) = self.calls.get(&call).map(Rc::clone) {
            cell.borrow_mut().end(over);
            self.remove(call);
        }
    }

    fn take_call(
        &mut self,
        call: u64,
        about: &CallHead<'_>,
        settings: &Settings,
    ) -> Result<Rc<CallCell>, LinkError> {
        if self.calls.len() >= settings.calls as usize {
            return Err(LinkError::TooManyCalls);
        }
        let flow = Flow::new(about.credit, settings.first_credit);
        let mut cell = Cell::new(call, flow, Cancel::Cut);
        self.count(&mut cell);
        let cell = Rc::new(RefCell::new(cell));
        self.calls.insert(call, Rc::clone(&cell));
        Ok(cell)
    }
}

/// Parts of data that follow each other.
pub(super) type Parts<'b> = (&'b [u8], &'b [u8]);

/// Takes off what fits into a frame; none when nothing is left.
fn split<'b>((first, second): &mut Parts<'b>) -> Option<Parts<'b>> {
    if first.is_empty() && second.is_empty() {
        return None;
    }
    let one = first.split_off(..first.len().min(PIECE_BYTES))?;
    let two = second.split_off(..second.len().min(PIECE_BYTES - one.len()))?;
    Some((one, two))
}
