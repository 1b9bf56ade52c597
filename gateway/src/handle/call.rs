//! What is known of a request between its head and its end.

use std::cell::Cell;
use std::sync::Arc;

use hatchway_wire::backend::Invocation;
use hatchway_wire::core::Entered;
use hatchway_wire::http1::Request;

use crate::access::Entry;
use crate::answer::CallError;
use crate::catalog::Target;
use crate::metrics::VersionMetrics;
use crate::rare::Rare;
use crate::trace::Traced;

/// A request between its head and its end.
#[derive(Debug)]
pub struct Call {
    pub(super) way: Way,
    /// What is noted of it, where that is wanted.
    pub(super) entry: Option<Box<Entry>>,
    /// The same for its trace, where it is sampled.
    pub(super) traced: Option<Box<Traced>>,
}

/// What was decided about a request.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are of the largest, and all are boxed")]
pub(super) enum Way {
    /// It leads to a version.
    Routed {
        invocation: Invocation,
        target: Running,
        /// What only some have. Boxed: all pay for its size.
        rare: Option<Box<Rare>>,
    },
    /// It is sent elsewhere.
    Redirected {
        request: Request,
        request_id: Box<str>,
        location: Box<str>,
        /// 301, 302, 303, 307 or 308.
        status: u16,
        /// Whose route it is.
        target: Arc<Target>,
    },
    /// It is answered by the gateway.
    Refused {
        request: Request,
        request_id: Box<str>,
        error: CallError,
        /// Whom it was for, where a route was found.
        target: Option<Arc<Target>>,
    },
}

/// The function of a request that is under way, and counted for as long as this lives.
#[derive(Debug)]
pub(super) struct Running {
    target: Arc<Target>,
    /// Of the version, where the function has several.
    pub(super) tally: Option<Arc<VersionMetrics>>,
    /// Whatever the client was told in the end.
    pub(super) has_failed: Cell<bool>,
    _entered: Option<Entered>,
}

impl Running {
    pub(super) fn new(
        target: Arc<Target>,
        tally: Option<Arc<VersionMetrics>>,
        entered: Option<Entered>,
    ) -> Self {
        target.metrics.enter();
        if let Some(tally) = &tally {
            tally.enter();
        }
        Self { target, tally, has_failed: Cell::new(false), _entered: entered }
    }

    /// The version has not answered, or not well.
    pub(super) fn failed(&self, reason: &'static str) {
        self.has_failed.set(true);
        self.metrics.refused(reason);
    }
}

impl std::ops::Deref for Running {
    type Target = Target;

    fn deref(&self) -> &Target {
        &self.target
    }
}

impl Way {
    pub(super) fn boxed(self) -> Box<Call> {
        Box::new(Call { way: self, entry: None, traced: None })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.metrics.leave();
        if let Some(tally) = &self.tally {
            tally.leave();
        }
    }
}

impl AsMut<Request> for Box<Call> {
    fn as_mut(&mut self) -> &mut Request {
        match &mut self.way {
            Way::Routed { invocation, .. } => &mut invocation.request,
            Way::Redirected { request, .. } | Way::Refused { request, .. } => request,
        }
    }
}
