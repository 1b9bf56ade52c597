//! Which nodes there are: those that are named by flags, or those that are registered in etcd.
//!
//! A registration is a hint and not a proof. Whether a node is there is seen by asking it ([`health`](crate::place::health)); so one whose
//! lease has run out while it still answers goes on being asked, and etcd may be away for as long as it likes. [`roster`] decides
//! that, [`allow`] whom a gateway would never connect to, and [`kept`] is what a start without etcd knows.

pub mod allow;
pub mod kept;
pub mod roster;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hatchway_proto::catalog::Nodes;
use hatchway_wire::link::Security;
use tokio::time::{Instant, MissedTickBehavior, interval};

use self::allow::Allowed;
use self::kept::Kept;
use self::roster::Roster;
use crate::forward::Fleet;

/// So often is looked who has left for good.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Follows the registrations, and keeps the fleet as they and its links say.
#[derive(Debug)]
pub struct Registry {
    fleet: Fleet,
    security: Security,
    allowed: Vec<Allowed>,
    state: RefCell<State>,
    kept: Option<Kept>,
}

#[derive(Debug)]
struct State {
    roster: Roster,
    heard: Arc<Nodes>,
    is_heard: bool,
}

impl Registry {
    /// Of a gateway that connects to nodes where `allowed` permits it, or wherever links are safe when that is empty. Begins
    /// with the nodes that `state`, its own folder, has kept.
    pub fn open(
        fleet: Fleet,
        security: Security,
        allowed: Vec<Allowed>,
        state: Option<&Path>,
    ) -> Self {
        let kept = state.map(|state: &Path| -> PathBuf { state.join("nodes.json") }).map(Kept::at);
        let heard = Arc::new(kept.as_ref().map(Kept::read).unwrap_or_default());
        let mut roster = Roster::default();
        roster.update(&heard, Instant::now());
        let state = RefCell::new(State { roster, heard, is_heard: false });
        let this = Self { fleet, security, allowed, state, kept };
        this.show();
        this
    }

    /// The source has been heard, or missed: these are registered, as far as it knows.
    pub fn hear(&self, nodes: &Arc<Nodes>, is_heard: bool) {
        {
            let state = &mut *self.state.borrow_mut();
            let is_news = is_heard && (!state.is_heard || !Arc::ptr_eq(nodes, &state.heard));
            if !is_news && state.is_heard == is_heard {
                return;
            }
            state.is_heard = is_heard;
            if is_news {
                state.heard = Arc::clone(nodes);
                state.roster.update(nodes, Instant::now());
                if let Some(kept) = &self.kept {
                    kept.write(&state.roster.nodes());
                }
            }
        }
        self.show();
    }

    /// Lets go of nodes that have left, for as long as it is polled.
    pub async fn sweep(&self) {
        let mut ticks = interval(SWEEP_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let has_left = {
                let roster = &mut self.state.borrow_mut().roster;
                roster.sweep(Instant::now(), |name| self.fleet.is_linked(name))
            };
            if has_left {
                self.show();
            }
        }
    }

    /// The fleet becomes what the roster says.
    fn show(&self) {
        let state = self.state.borrow();
        let mut nodes = Vec::new();
        for (name, node) in state.roster.nodes() {
            match allow::node(&name, &node, (&self.allowed, &self.security), state.is_heard) {
                Ok(node) => nodes.push(node),
                Err(why) => {
                    tracing::warn!(node = name, address = node.address, why, "a node is not asked")
                }
            }
        }
        self.fleet.set(nodes);
    }
}
