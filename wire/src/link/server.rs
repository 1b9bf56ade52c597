//! The node's half: calls come, each is served as a request of its own.

use std::future::poll_fn;
use std::rc::Rc;

use hatchway_proto::link::{CallHead, Cancel, Hello, LoadSummary, Side};

use super::call::{Call, Handle};
use super::driver::{Driver, Half};
use super::settings::Settings;
use super::shared::{NewCall, Shared};
use crate::Stream;
use crate::core::InFlight;
use crate::http1::{self, Service};
use crate::ticker::Ticker;

/// What a node decides about calls, beside what every [`Service`] decides about requests.
pub trait Calls: Service {
    /// A call has come. Does not wait: the head borrows the core's buffer. None for one that cannot be: it is cancelled.
    fn take(&self, about: &CallHead<'_>, head: &[u8], handle: Handle) -> Option<Self::Call>;

    /// How full this node is.
    fn load(&self) -> LoadSummary;
}

/// What a connection of a node is served with.
#[derive(Debug)]
pub struct Served<S> {
    /// Decides.
    pub service: Rc<S>,
    /// Limits of the link.
    pub settings: Rc<Settings>,
    /// Limits of each call.
    pub http1: Rc<http1::Settings>,
    /// Clocks of the core.
    pub ticker: Ticker,
    /// Counts what is under way, so that a drain knows when it is over.
    pub calls: InFlight,
    /// Drawn when the program started.
    pub instance: u128,
}

impl<S> Clone for Served<S> {
    fn clone(&self) -> Self {
        Self {
            service: Rc::clone(&self.service),
            settings: Rc::clone(&self.settings),
            http1: Rc::clone(&self.http1),
            ticker: self.ticker.clone(),
            calls: self.calls.clone(),
            instance: self.instance,
        }
    }
}

struct NodeHalf<S>(Served<S>);

/// Serves a gateway's connection until either side ends it. Calls that run when it ends hear that their caller has left.
pub async fn serve<S: Calls>(stream: Stream, served: Served<S>) {
    let settings = Rc::clone(&served.settings);
    let hello = Hello::of_node(served.instance, settings.first_credit, settings.calls);
    let shared = Rc::new(Shared::new(Side::Node, hello, settings));
    let ticker = served.ticker.clone();
    let mut driver = Driver::new(shared, stream, NodeHalf(served), &ticker);
    poll_fn(|cx| driver.poll(cx)).await;
}

impl<S: Calls> Half for NodeHalf<S> {
    const IS_NODE: bool = true;

    fn begin(&mut self, new: NewCall<'_>, shared: &Rc<Shared>) {
        let call = Call::new(Rc::clone(shared), new.cell, None);
        let service = Rc::clone(&self.0.service);
        let (settings, ticker) = (Rc::clone(&self.0.http1), self.0.ticker.clone());
        let Some(request) = service.take(&new.about, new.head, call.handle()) else {
            call.handle().because(Cancel::Protocol);
            return;
        };
        let entered = self.0.calls.enter();
        // A task of its own: a panic is the end of one call.
        tokio::task::spawn_local(async move {
            http1::serve_call(call, &*service, request, &settings, &ticker).await;
            drop(entered);
        });
    }

    fn load(&self) -> LoadSummary {
        self.0.service.load()
    }
}
