//! Groups whose processes have been told to go: looked at until nobody is left, then removed.

use super::seats::Seats;
use crate::cgroup::{self, GroupPaths, clear};
use crate::protocol::event::Event;

/// A group that stays busy this often is left to the next start's cleaning.
const TRIES: u32 = 500;

#[derive(Debug)]
struct Leaver {
    group: GroupPaths,
    seat: Option<u32>,
    /// What the node is to hear once nobody is left.
    event: Option<Event>,
    tries: u32,
}

/// Everyone on the way out.
#[derive(Debug, Default)]
pub(super) struct Leaving(Vec<Leaver>);

impl Leaving {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a group. `seat` is the number that its processes had for themselves, `event` what to
    /// tell of them.
    pub(super) fn add(&mut self, group: GroupPaths, seat: Option<u32>, event: Option<Event>) {
        self.0.push(Leaver { group, seat, event, tries: 0 });
    }

    /// Looks at each once. Those in which nobody is left give their seat back, are removed, and
    /// their events returned. A group that cannot be removed yet is tried again: its last
    /// process may still be on its way out of the kernel.
    pub(super) fn see_off(&mut self, seats: &mut Seats) -> Vec<Event> {
        let mut events = Vec::new();
        self.0.retain_mut(|leaver| {
            leaver.tries += 1;
            if leaver.is_empty() {
                leaver.seat.take().into_iter().for_each(|seat| seats.give_back(seat));
                events.extend(leaver.event.take());
                if cgroup::remove(&leaver.group).is_ok() {
                    return false;
                }
            }
            leaver.tries < TRIES
        });
        events
    }
}

impl Leaver {
    /// Looks whether anybody is left, and kills who is.
    fn is_empty(&self) -> bool {
        self.group.dirs().into_iter().all(|dir| match clear::members(dir) {
            Ok(members) if !members.is_empty() => {
                // Looked at again soon, however this went.
                let _ = clear::kill(dir);
                false
            }
            // A folder that is gone has nobody in it.
            Ok(_) | Err(_) => true,
        })
    }
}
