//! The node's half: calls come, each is served as a request of its own.

use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;

use hatchway_proto::link::{CallHead, Cancel, Hello, LoadSummary, Side};

use super::call::{Call, Handle};
use super::driver::{Driver, Half};
use super::settings::Settings;
use super::shared::{NewCall, Shared};
use super::workers::Workers;
use crate::Stream;
use crate::core::{Entered, InFlight};
use crate::http1::{self, Service};
use crate::ticker::Ticker;

/// What a node decides about calls, beside what every [`Service`] decides about requests.
pub trait Calls: Service {
    /// A call has come. Does not wait: the head borrows the core's buffer. None for one that cannot be: it is cancelled.
    fn take(&self, about: &CallHead<'_>, head: &[u8], handle: Handle) -> Option<Self::Call>;

    /// How full this node is.
    fn load(&self) -> LoadSummary;
}

/// One core of a node, whatever links lead to it. Cheap to clone within it.
pub struct Served<S: Service>(Rc<Inner<S>>);

struct Inner<S: Service> {
    service: S,
    settings: Rc<Settings>,
    http1: http1::Settings,
    ticker: Ticker,
    calls: InFlight,
    workers: Workers<Job<S::Call>>,
    instance: u128,
}

/// A call that is to be served.
struct Job<C> {
    call: Call,
    request: C,
    entered: Entered,
}

impl<S: Service> fmt::Debug for Served<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Served").field("calls", &self.0.calls).finish_non_exhaustive()
    }
}

impl<S: Service> Clone for Served<S> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<S: Calls> Served<S> {
    /// Calls on this core are decided by `service`. `instance` was drawn when the program started.
    pub fn new(service: S, ticker: Ticker, instance: u128) -> Self {
        Self(Rc::new(Inner {
            service,
            settings: Rc::default(),
            http1: http1::Settings::inside(),
            ticker,
            calls: InFlight::default(),
            workers: Workers::new(),
            instance,
        }))
    }

    /// Its clocks.
    pub fn ticker(&self) -> &Ticker {
        &self.0.ticker
    }

    /// Waits until no call is under way. Cancel safe.
    pub async fn none(&self) {
        self.0.calls.none().await;
    }

    /// Serves a gateway's connection until either side ends it. Calls that run when it ends hear that their caller has left.
    pub async fn serve(self, stream: Stream) {
        let (settings, ticker) = (Rc::clone(&self.0.settings), self.0.ticker.clone());
        let hello = Hello::of_node(self.0.instance, settings.first_credit, settings.calls);
        let shared = Rc::new(Shared::new((Side::Node, hello), stream, settings, None));
        let mut driver = Driver::new(shared, self, &ticker);
        poll_fn(|cx| driver.poll(cx)).await;
    }
}

impl<S: Calls> Half for Served<S> {
    const IS_NODE: bool = true;

    fn begin(&mut self, new: NewCall<'_>, shared: &Rc<Shared>) {
        let call = Call::new(Rc::clone(shared), new.cell, None);
        let Some(request) = self.0.service.take(&new.about, new.head, call.handle()) else {
            call.handle().because(Cancel::Protocol);
            return;
        };
        let job = Job { call, request, entered: self.0.calls.enter() };
        let this = Rc::clone(&self.0);
        self.0.workers.start(job, move |job| serve(Rc::clone(&this), job));
    }

    fn load(&self) -> LoadSummary {
        self.0.service.load()
    }
}

async fn serve<S: Calls>(inner: Rc<Inner<S>>, job: Job<S::Call>) {
    let Inner { service, http1, ticker, .. } = &*inner;
    http1::serve_call(job.call, service, job.request, http1, ticker).await;
    drop(job.entered);
}
