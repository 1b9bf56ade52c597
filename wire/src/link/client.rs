//! The gateway's half: connect, and offer calls.

use std::future::poll_fn;
use std::num::NonZero;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hatchway_proto::link::{CallHead, Cancel, FRAME_BYTES, Flow, Hello, LoadSummary, Side};
use tokio::time::Instant;

use super::call::Call;
use super::cell::{CallCell, Cell};
use super::driver::{Driver, Half};
use super::load::NodeLoad;
use super::offer::{Offer, Placer, Tries};
use super::settings::Settings;
use super::shared::{Ended, NewCall, Shared};
use crate::ticker::{self, Ticker};
use crate::{Stream, scratch};

/// A connection to a node, on one core. Cheap to clone within it; it lives for as long as its task does.
#[derive(Clone, Debug)]
pub struct Link(Rc<Shared>);

struct GatewayHalf;

impl Half for GatewayHalf {
    const IS_NODE: bool = false;

    fn begin(&mut self, _call: NewCall<'_>, _shared: &Rc<Shared>) {
        unreachable!("the rules of order have refused a call from a node");
    }

    fn load(&self) -> LoadSummary {
        LoadSummary::default()
    }
}

impl Link {
    /// Greets the node at the other end of `stream`, and starts the connection's task. `load` is told what the node says of
    /// itself.
    ///
    /// # Errors
    /// What the connection ended with instead.
    pub async fn open(
        stream: Stream,
        instance: u128,
        settings: Rc<Settings>,
        load: Arc<NodeLoad>,
        ticker: &Ticker,
    ) -> Result<Self, Ended> {
        let hello = Hello::of_gateway(instance).with(settings.features);
        let shared = Rc::new(Shared::new((Side::Gateway, hello), stream, settings, Some(load)));
        let mut driver = Driver::new(Rc::clone(&shared), GatewayHalf, ticker);
        tokio::task::spawn_local(async move { poll_fn(|cx| driver.poll(cx)).await });
        loop {
            let changed = shared.changed.notified();
            {
                let state = shared.state.borrow();
                if let Some(why) = &state.over {
                    return Err(why.clone());
                }
                if state.session.peer().is_some() {
                    break;
                }
            }
            changed.await;
        }
        Ok(Self(shared))
    }

    /// True while the node takes calls here.
    pub fn is_open(&self) -> bool {
        let state = self.0.state.borrow();
        state.over.is_none() && !state.is_draining
    }

    /// True once the node has said that it takes no more, until its last call here is over.
    pub fn is_leaving(&self) -> bool {
        let state = self.0.state.borrow();
        state.over.is_none() && state.is_draining
    }

    /// True once another process of the same node takes calls at the same address in its place.
    pub fn has_heir(&self) -> bool {
        self.0.state.borrow().has_heir
    }

    /// Offers no further call on it; it closes when the last one is over.
    pub fn leave(&self) {
        let state = &mut *self.0.state.borrow_mut();
        state.is_draining = true;
        state.wake_driver();
    }

    /// True once the connection is over without either end having wished it.
    pub fn is_broken(&self) -> bool {
        let state = self.0.state.borrow();
        !state.is_draining && state.over.as_ref().is_some_and(|why| !matches!(why, Ended::Drained))
    }

    /// A sign of life was asked for at least `limit` before `now`, and has not come. Whatever else comes is none: what is sent to the
    /// node may be lost while what it sends arrives.
    pub fn is_silent(&self, now: Instant, limit: Duration) -> bool {
        self.0.state.borrow().owed_since.is_some_and(|since| since + limit <= now)
    }

    /// True for a call that goes to this node, as far as it has been placed.
    pub fn carries(&self, call: &Call) -> bool {
        Rc::ptr_eq(&self.0, &call.shared)
    }

    /// Why the connection is over, once it is.
    pub fn ended(&self) -> Option<Ended> {
        self.0.state.borrow().over.clone()
    }

    /// What the node drew when it started.
    pub fn instance(&self) -> Option<u128> {
        self.0.state.borrow().session.peer().map(|hello| hello.instance)
    }

    /// Calls under way.
    pub fn calls(&self) -> usize {
        self.0.state.borrow().calls.len()
    }

    /// A call, which is sent with the first write: that has the whole head, `head_bytes` long. A call that this node does
    /// not take goes to one that is not among `tries` yet, which `placer` finds. Its credit is set here, whether it is choosy, and what is left until `deadline`.
    ///
    /// None when this node takes no more, or when the call is larger than a frame.
    pub fn offer(
        &self,
        about: CallHead<'_>,
        (head_bytes, deadline): (usize, Option<Instant>),
        (placer, tries): (Rc<dyn Placer>, Tries),
    ) -> Option<Call> {
        let credit = self.0.state.borrow().first_credit(&self.0.settings);
        let deadline_ms = deadline.map(milliseconds_left);
        let about = CallHead { credit, deadline_ms, is_choosy: tries.is_choosy, ..about };
        let mut payload = scratch::take();
        about.encode(&mut payload).ok()?;
        if payload.len() + head_bytes > FRAME_BYTES {
            return None;
        }
        let cell = self.reserve(credit, 0)?;
        let opening = (payload, about.flags());
        let offer = Offer::new(opening, (head_bytes, credit), deadline, (placer, tries));
        Some(Call::new(Rc::clone(&self.0), cell, Some(Box::new(offer))))
    }

    /// A place for a call of which nothing was sent: the node may send `allowed` bytes of it at once, and takes at least
    /// `room`.
    pub(super) fn reserve(&self, allowed: u32, room: usize) -> Option<Rc<CallCell>> {
        let state = &mut *self.0.state.borrow_mut();
        let node = state.session.peer()?;
        let has_room =
            state.calls.len() < node.calls as usize && room <= node.first_credit as usize;
        if state.over.is_some() || state.is_draining || !has_room {
            return None;
        }
        let mut cell = Cell::new(0, Flow::new(node.first_credit, allowed), Cancel::Left);
        state.count(&mut cell);
        Some(Rc::new(CallCell::new(cell)))
    }

    pub(super) fn shared(&self) -> Rc<Shared> {
        Rc::clone(&self.0)
    }
}

/// What is left until `deadline`, at least one: whether nothing is left, the node finds by itself.
pub(super) fn milliseconds_left(deadline: Instant) -> NonZero<u32> {
    let left = deadline.saturating_duration_since(ticker::recent()).as_millis();
    NonZero::new(u32::try_from(left).unwrap_or(u32::MAX)).unwrap_or(NonZero::<u32>::MIN)
}
