//! Whether what was promised was held: every call, against what went wrong around it.

use std::time::{Duration, Instant};

use super::load::Call;
use super::schedule::Fault;
use crate::book::Book;
use crate::caller::Outcome;

/// Until a gateway gives nothing more to a node that says nothing: a sign of life is asked for, and waited for.
const NOTICE: Duration = Duration::from_secs(5);

/// Until all have heard of an end: the kernel tells it.
const AT_ONCE: Duration = Duration::from_secs(1);

/// How long a call may have been under way when something goes wrong.
const UNDER_WAY: Duration = Duration::from_secs(1);

/// A call that takes longer than it wants to by this was hurt.
const SLOW: Duration = Duration::from_secs(2);

/// Until nobody is hurt any more, counted from where [`Window::counts_from`] says.
const RECOVERY: Duration = Duration::from_secs(6);

/// Failures that are shown of each promise.
const SHOWN: usize = 5;

/// Something that went wrong.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub(crate) fault: Fault,
    pub(crate) began: Instant,
    /// When it was over.
    pub(crate) healed: Instant,
    /// When all knew each other again.
    pub(crate) whole: Instant,
}

/// A promise, and what speaks against it.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) promise: String,
    pub(crate) against: Vec<String>,
}

impl Window {
    /// A failure of `call`, which was run by `runs`, is what this fault has to cost.
    fn excuses(&self, call: &Call, runs: &[String]) -> bool {
        let (node, gateway, noticed) = match self.fault {
            Fault::Cut { node, gateway, .. } => (Some(node), Some(gateway), NOTICE),
            Fault::Alone { node } | Fault::Frozen { node } => (Some(node), None, NOTICE),
            Fault::Killed { node } | Fault::Replaced { node } => (Some(node), None, AT_ONCE),
            Fault::GatewayKilled { gateway } => (None, Some(gateway), AT_ONCE),
            Fault::Lossy { .. }
            | Fault::Slow { .. }
            | Fault::Narrow { .. }
            | Fault::Drained { .. }
            | Fault::GatewayDrained { .. }
            | Fault::NodeClock { .. }
            | Fault::GatewayClock { .. }
            | Fault::EtcdFrozen
            | Fault::EtcdKilled
            | Fault::EtcdCutFromNodes
            | Fault::EtcdCutFromGateways => return false,
        };
        let is_then = self.began <= call.began + UNDER_WAY && call.began <= self.began + noticed;
        let is_there =
            node.is_none_or(|node| runs.iter().all(|run| *run == format!("node-{node}")));
        is_then && is_there && gateway.is_none_or(|gateway| gateway == call.gateway)
    }

    /// From when on its recovery counts: what goes on being bad all the while is over when it is healed.
    fn counts_from(&self) -> Instant {
        match self.fault {
            Fault::Lossy { .. } | Fault::Slow { .. } | Fault::Narrow { .. } => self.healed,
            _ => self.began,
        }
    }

    /// How long it hurt somebody; none when nobody was.
    pub(crate) fn hurt(&self, calls: &[Call]) -> Option<Duration> {
        let of_it = calls.iter().filter(|call| {
            self.began <= call.began + UNDER_WAY && call.began <= self.whole && call.is_hurt()
        });
        of_it.map(|call| call.began.saturating_duration_since(self.counts_from())).max()
    }
}

impl Call {
    fn is_hurt(&self) -> bool {
        self.outcome != Outcome::Served || self.took > Duration::from_millis(self.ms) + SLOW
    }
}

/// Judges all calls; `begun` is when the first was made.
pub(crate) fn judge(
    calls: &[Call],
    book: &Book,
    windows: &[Window],
    begun: Instant,
) -> Vec<Verdict> {
    let all_runs = book.runs();
    let runs = |call: &Call| all_runs.get(&call.number).map_or(&[][..], Vec::as_slice);
    let tell = |call: &Call| {
        let at = (call.began - begun).as_secs_f64();
        let took = call.took.as_secs_f64();
        format!(
            "call {} at {at:.1} s by gateway-{} after {took:.1} s: {:?}, run by {:?}",
            call.number & 0xffff_ffff,
            call.gateway,
            call.outcome,
            runs(call)
        )
    };
    let all = |promise: &str, breaks: &dyn Fn(&Call) -> bool| {
        let broken: Vec<_> = calls.iter().filter(|call| breaks(call)).collect();
        let mut against: Vec<_> = broken.iter().take(SHOWN).map(|call| tell(call)).collect();
        if broken.len() > SHOWN {
            against.push(format!("and {} more", broken.len() - SHOWN));
        }
        Verdict { promise: promise.to_owned(), against }
    };
    let is_excused = |call: &Call| windows.iter().any(|window| window.excuses(call, runs(call)));
    let late = |window: &&Window| window.hurt(calls).is_some_and(|hurt| hurt > RECOVERY);
    let against = windows.iter().filter(late).map(|window| {
        let at = (window.began - begun).as_secs_f64();
        format!(
            "{} at {at:.1} s hurt for {:?}",
            window.fault,
            window.hurt(calls).unwrap_or_default()
        )
    });
    vec![
        all("no call is run twice", &|call| runs(call).len() > 1),
        all("who is answered by the function is answered by the one run of this call", &|call| {
            matches!(call.outcome, Outcome::Wrong(_))
                || (call.outcome == Outcome::Served && runs(call).len() != 1)
        }),
        all("nobody fails but who was under way where it went wrong", &|call| {
            call.outcome != Outcome::Served && !is_excused(call)
        }),
        Verdict {
            promise: format!("nobody is hurt for longer than {} s", RECOVERY.as_secs()),
            against: against.collect(),
        },
    ]
}
