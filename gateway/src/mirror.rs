//! Copies of requests for a version that answers nobody.
//!
//! A copy is made of the head when the request is routed, and of the body as it goes by. It is sent once the request is
//! over, by a task of its own, so that nobody waits for it; where too many are under way, or a body is longer than the mirror
//! allows, the copy is lost and counted.

use std::rc::Rc;
use std::time::Duration;

use hatchway_proto::catalog::BASIS_POINTS;
use hatchway_proto::name::FunctionName;
use hatchway_wire::backend::{Backend, Invocation, Timing};
use hatchway_wire::core::{Entered, InFlight};
use hatchway_wire::http1::{Found, Request, Tap, Tapped, discard};
use tokio::time::{Instant, timeout_at};

use crate::catalog::{ReleaseTarget, Target};
use crate::metrics::result_class;
use crate::trigger;

/// Copies of one core that are being made or are under way, at most: with the longest body, what they may hold in memory.
const COPIES: usize = 64;

/// A mirror, compiled when it is pushed.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// Who gets the copies.
    pub to: MirrorTo,
    /// How many of the requests.
    pub basis_points: u16,
    /// The longest body.
    pub max_body_bytes: usize,
}

/// Who gets the copies.
#[derive(Clone, Debug)]
pub enum MirrorTo {
    /// A version of the same function.
    Version(ReleaseTarget),
    /// The stable version of another one.
    Function(FunctionName),
}

impl Mirror {
    /// Whether this request is copied; `draw` is any number.
    fn takes(&self, draw: u64) -> bool {
        let drawn = (u128::from(draw) * u128::from(BASIS_POINTS)) >> 64;
        drawn < u128::from(self.basis_points)
    }
}

/// A copy of a request that is under way.
#[derive(Debug)]
pub struct Copy {
    invocation: Invocation,
    /// Where its body is.
    tap: Rc<Tap>,
    run_clock: Duration,
    _entered: Entered,
}

/// The copies of one core.
#[derive(Debug, Default)]
pub(crate) struct Copies(InFlight);

impl Copies {
    /// Begins to copy a request, where the mirror takes it and there is room. `to`: who gets the copy.
    pub(crate) fn begin(
        &self,
        mirror: &Mirror,
        to: &ReleaseTarget,
        invocation: &mut Invocation,
        target: &Target,
    ) -> Option<Copy> {
        if !mirror.takes(trigger::draw()) || invocation.request.wants_upgrade {
            return None;
        }
        if self.0.count() >= COPIES {
            target.metrics.mirrored("busy");
            return None;
        }
        let tap = Rc::new(Tap::new(mirror.max_body_bytes));
        let request = &mut invocation.request;
        if request.framing.has_body() {
            request.tap = Some(Rc::clone(&tap));
        }
        let invocation = Invocation {
            function: to.function.clone(),
            version: to.version,
            lane: invocation.lane,
            asset: None,
            is_choosy: false,
            request_id: invocation.request_id.clone(),
            request: Request {
                head: trigger::mirrored(&request.head),
                tap: None,
                expects_continue: false,
                // That was for an answer that somebody waits for.
                deadline: None,
                ..*request
            },
            trace: invocation.trace,
            timing: Timing::default(),
        };
        Some(Copy { invocation, tap, run_clock: to.run_clock, _entered: self.0.enter() })
    }

    /// Sends a copy now that its request is over.
    pub(crate) fn send<B: Backend>(&self, copy: Copy, backend: &Rc<B>, target: &Target) {
        let metrics = std::sync::Arc::clone(&target.metrics);
        let body = match copy.tap.take(copy.invocation.request.framing) {
            Tapped::Whole(body) => body,
            Tapped::TooLong => return metrics.mirrored("too-long"),
            Tapped::Incomplete => return metrics.mirrored("incomplete"),
        };
        let backend = Rc::clone(backend);
        tokio::task::spawn_local(async move {
            metrics.mirrored(run(copy, &*backend, body).await);
        });
    }
}

/// Asks for an answer and throws it away; gives its class.
async fn run<B: Backend>(copy: Copy, backend: &B, body: Vec<u8>) -> &'static str {
    let Copy { mut invocation, run_clock, _entered, .. } = copy;
    let until = Instant::now() + run_clock;
    trigger::deadline(&mut invocation.request, run_clock);
    let status = match timeout_at(until, backend.connect(&mut invocation)).await {
        Err(_) | Ok(Err(_)) => None,
        Ok(Ok(Found::Answer(answer))) => Some(answer.status),
        Ok(Ok(Found::Upstream(upstream))) => {
            discard(upstream, invocation.request, body, until).await.ok()
        }
    };
    status.map_or("failed", result_class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_takes_its_share() {
        let to = || MirrorTo::Function(FunctionName::parse("a").unwrap());
        let mirror = |basis_points| Mirror { to: to(), basis_points, max_body_bytes: 0 };
        let taken = |mirror: &Mirror| (0..10_000).filter(|_| mirror.takes(trigger::draw())).count();
        assert_eq!((taken(&mirror(0)), taken(&mirror(10_000))), (0, 10_000));
        assert!((350..650).contains(&taken(&mirror(500))), "five standard deviations are 109");
    }
}
