//! A sandbox whose process can answer.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hatchway_sandbox::{Connection, ExitKind, Sandbox};
use hatchway_wire::Stream;

use crate::boost::{Boost, UNANSWERED};
use crate::egress::Outlet;
use crate::package::Held;
use crate::pool::{Exit, LiveSandbox, Usage};
use crate::zygote::Children;

/// A process that can answer.
#[derive(Debug)]
pub struct Process {
    sandbox: Arc<Sandbox>,
    boost: Option<Arc<Boost>>,
    /// Kept where one request runs at a time.
    current: Option<Current>,
    /// Its files, and its way out where it has one, stay as long as it lives.
    _package: Held,
    _outlet: Option<Outlet>,
    /// Its zygote knows by it that it lives.
    _children: Option<Children>,
    was_hung: AtomicBool,
}

/// The request that a sandbox serves: for lines that no adapter attributed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Current(Arc<Mutex<Option<Box<str>>>>);

impl Current {
    pub(super) fn get(&self) -> Option<Box<str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, request_id: Option<Box<str>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = request_id;
    }
}

impl Process {
    pub(crate) fn new(
        sandbox: Sandbox,
        boost: Option<Boost>,
        current: Option<Current>,
        (package, outlet, children): (Held, Option<Outlet>, Option<Children>),
    ) -> Self {
        Self {
            sandbox: Arc::new(sandbox),
            boost: boost.map(Arc::new),
            current,
            _package: package,
            _outlet: outlet,
            _children: children,
            was_hung: AtomicBool::new(false),
        }
    }

    /// A new connection, on the core that asks.
    pub(crate) async fn connect(&self) -> io::Result<Stream> {
        Ok(match self.sandbox.connect().await? {
            Connection::Unix(stream) => Stream::Unix(stream),
            Connection::Tcp(stream) => {
                stream.set_nodelay(true)?;
                Stream::Tcp(stream)
            }
        })
    }

    /// A request begins.
    pub(crate) fn enter(&self, request_id: &str) {
        if let Some(current) = &self.current {
            current.set(Some(request_id.into()));
        }
    }

    /// A sandbox that is hatched in advance may wait long for its first request.
    pub(super) fn end_boost_in_time(&self) {
        let Some(boost) = self.boost.clone() else { return };
        let sandbox = Arc::downgrade(&self.sandbox);
        tokio::spawn(async move {
            tokio::time::sleep(UNANSWERED).await;
            if let Some(sandbox) = sandbox.upgrade() {
                end(&boost, &sandbox);
            }
        });
    }

    /// It has ended.
    pub(crate) fn leave(&self) {
        if let Some(boost) = &self.boost {
            end(boost, &self.sandbox);
        }
        if let Some(current) = &self.current {
            current.set(None);
        }
    }

    /// Ends a process that holds on to a request whose clock has run out.
    pub(crate) fn kill_hung(&self) {
        if !self.was_hung.swap(true, Ordering::Relaxed) {
            self.sandbox.kill();
        }
    }
}

fn end(boost: &Boost, sandbox: &Sandbox) {
    if let Some(cpu_millis) = boost.end() {
        sandbox.limit_cpu(cpu_millis);
    }
}

impl LiveSandbox for Process {
    fn tier(&self) -> &'static str {
        self.sandbox.tier.word()
    }

    fn kill(&self) {
        self.sandbox.kill();
    }

    fn terminate(&self) {
        self.sandbox.terminate();
    }

    fn pid(&self) -> Option<u32> {
        u32::try_from(self.sandbox.pid).ok()
    }

    async fn exited(&self) -> Exit {
        match self.sandbox.exited().await.kind {
            ExitKind::Code(code) => Exit::Code(code),
            ExitKind::Signal(signal) => Exit::Signal(signal),
            ExitKind::OutOfMemory => Exit::OutOfMemory,
        }
    }

    fn usage(&self) -> Option<Usage> {
        let usage = self.sandbox.usage().ok()?;
        Some(Usage {
            memory_bytes: usage.memory_bytes,
            memory_peak_bytes: usage.memory_peak_bytes,
            cpu: usage.cpu,
            pids: usage.pids,
        })
    }
}
