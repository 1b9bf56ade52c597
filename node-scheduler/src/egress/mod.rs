//! The way out: functions with `network = "egress-proxy"` reach the hosts that they list through their node, and nobody else.
//!
//! Such a sandbox has a loopback and nothing more. Before its program starts, a listener is made in there and handed to the
//! node ([`Sandbox::take_proxy`](hatchway_sandbox::Sandbox::take_proxy)): what comes in by it is of that version, whatever it
//! says, and siblings that were forked share it as they share the rules. So there is no password to steal and no process inside.
//!
//! [`proxy`] speaks HTTP with the function: CONNECT, and plain requests by their whole URL. [`destination`] leads from the name to
//! a connection: the list of the version, one lookup, then [`address`], which says of each address whether anybody may
//! go there; connected is to that address, never to the name again. [`refusal`] is what a function is told. All of it runs on a
//! thread of its own, so that what tenants move delays neither calls nor starts: one core at most, which sandboxes are not
//! charged for.

mod address;
mod destination;
mod metered;
mod proxy;
mod refusal;

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{Builder, JoinHandle};

use hatchway_proto::catalog::{Egress as Rule, Version};
use hatchway_proto::name::FunctionName;
use hatchway_proto::network::Network;
use hatchway_proto::seldom::Seldom;
use tokio::net::TcpListener;
use tokio::runtime::{self, Handle};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::AbortHandle;

use crate::metrics::EgressMetrics;
use address::Reach;
pub(crate) use metered::Moved;

/// Connections of a function's sandboxes to the proxy at a time; further ones wait to be accepted.
const CONNECTIONS: usize = 256;

/// Lookups at a time, of all functions: the system's resolver keeps a thread for each.
const LOOKUPS: usize = 16;

/// The proxy of a node. Cloning it shares it.
#[derive(Clone, Debug)]
pub(crate) struct Egress(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    runtime: Handle,
    reach: Arc<Reach>,
    metrics: EgressMetrics,
    /// Of the functions that have an outlet now.
    places: Mutex<HashMap<FunctionName, Weak<Semaphore>>>,
}

/// The thread that it runs on.
#[derive(Debug)]
pub(crate) struct EgressThread {
    thread: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

/// For whom a connection is made.
#[derive(Debug)]
struct Guest {
    function: FunctionName,
    rules: Seldom<Vec<Rule>>,
    reach: Arc<Reach>,
    metrics: EgressMetrics,
    places: Arc<Semaphore>,
}

/// The proxy of one sandbox, or of a zygote and all that is forked from it. It closes when the last clone is dropped, and
/// with it every connection through it.
#[derive(Clone, Debug)]
pub(crate) struct Outlet(#[expect(dead_code, reason = "held, and dropped")] Arc<Serving>);

#[derive(Debug)]
struct Serving(AbortHandle);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Egress {
    /// Starts the thread. `allowed` are networks that functions may reach though nobody may without being told so.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub(crate) fn start(
        allowed: Vec<Network>,
        metrics: EgressMetrics,
    ) -> io::Result<(Self, EgressThread)> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(LOOKUPS)
            .build()?;
        let egress = Self(Arc::new(Inner {
            runtime: runtime.handle().clone(),
            reach: Arc::new(Reach::new(allowed)),
            metrics,
            places: Mutex::default(),
        }));
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = Builder::new().name("egress".to_owned()).spawn(move || {
            // Told to stop, or forgotten.
            let _ = runtime.block_on(stopped);
            // Not waiting for the resolver, which has clocks of its own.
            runtime.shutdown_background();
        })?;
        Ok((egress, EgressThread { thread, stop }))
    }

    /// Serves a sandbox of `version`, if it has come with a listener.
    pub(crate) fn open(&self, version: &Version, listener: Option<OwnedFd>) -> Option<Outlet> {
        let listener = std::net::TcpListener::from(listener?);
        let inner = &self.0;
        let _context = inner.runtime.enter();
        let listener = TcpListener::from_std(listener)
            .inspect_err(|error| tracing::warn!(%error, "a function has no proxy"))
            .ok()?;
        let guest = Arc::new(Guest {
            function: version.function.clone(),
            rules: version.egress.clone(),
            reach: Arc::clone(&inner.reach),
            metrics: inner.metrics.clone(),
            places: self.places(&version.function),
        });
        let serving = inner.runtime.spawn(proxy::serve(listener, guest));
        Some(Outlet(Arc::new(Serving(serving.abort_handle()))))
    }

    /// What the sandboxes of a function share.
    fn places(&self, function: &FunctionName) -> Arc<Semaphore> {
        let mut all = self.0.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = all.get(function).and_then(Weak::upgrade) {
            return places;
        }
        all.retain(|_, places| places.strong_count() > 0);
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        all.insert(function.clone(), Arc::downgrade(&places));
        places
    }
}

impl EgressThread {
    /// Ends every connection.
    pub(crate) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the proxy's thread ended by a panic");
        }
    }
}
