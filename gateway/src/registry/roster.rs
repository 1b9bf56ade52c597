//! Who belongs to the fleet: registrations, and what speaks against their end.

use std::collections::BTreeMap;
use std::time::Duration;

use hatchway_proto::catalog::{Nodes, Registration};
use tokio::time::Instant;

/// How long a node whose lease has run out belongs to the fleet in any case: etcd may have lost all leases at once, and nodes come back
/// one by one. A node that is really gone is not asked meanwhile, for it cannot be reached.
const GRACE: Duration = Duration::from_secs(30);

/// All nodes that may be there.
#[derive(Debug, Default)]
pub struct Roster(BTreeMap<String, Entry>);

#[derive(Debug)]
struct Entry {
    node: Registration,
    /// Since when it is not registered any more.
    missing_since: Option<Instant>,
}

impl Roster {
    /// These are registered now. Whoever is not, and has not said goodbye, stays for a while.
    pub fn update(&mut self, nodes: &Nodes, now: Instant) {
        for (name, node) in nodes {
            self.0.insert(name.clone(), Entry { node: node.clone(), missing_since: None });
        }
        self.0.retain(|name, entry| {
            let is_registered = nodes.contains_key(name);
            if !is_registered {
                entry.missing_since.get_or_insert(now);
            }
            // Who drained and is gone has left for good.
            is_registered || !entry.node.is_draining
        });
    }

    /// Lets go of those that have been missing for long and that nobody is connected to. True when there were any.
    pub fn sweep(&mut self, now: Instant, is_linked: impl Fn(&str) -> bool) -> bool {
        let before = self.0.len();
        self.0.retain(|name, entry| match entry.missing_since {
            Some(since) => now < since + GRACE || is_linked(name),
            None => true,
        });
        self.0.len() < before
    }

    /// Those that may be asked.
    pub fn nodes(&self) -> Nodes {
        self.0.iter().map(|(name, entry)| (name.clone(), entry.node.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(names: &[&str]) -> Nodes {
        names.iter().map(|name| ((*name).to_owned(), Registration::default())).collect()
    }

    fn names(roster: &Roster) -> Vec<String> {
        roster.nodes().into_keys().collect()
    }

    #[test]
    fn a_node_whose_lease_ran_out_stays_for_as_long_as_it_answers() {
        let (mut roster, now) = (Roster::default(), Instant::now());
        roster.update(&nodes(&["a", "b"]), now);
        roster.update(&nodes(&[]), now);
        assert!(!roster.sweep(now + GRACE / 2, |_| false));
        assert_eq!(names(&roster), ["a", "b"]);
        assert!(roster.sweep(now + GRACE, |name| name == "a"));
        assert_eq!(names(&roster), ["a"]);
        assert!(roster.sweep(now + GRACE * 100, |_| false));
        assert_eq!(names(&roster), [""; 0]);
    }

    #[test]
    fn a_node_that_comes_back_is_as_good_as_ever() {
        let (mut roster, now) = (Roster::default(), Instant::now());
        roster.update(&nodes(&["a"]), now);
        roster.update(&nodes(&[]), now);
        roster.update(&nodes(&["a"]), now);
        assert!(!roster.sweep(now + GRACE * 2, |_| false));
    }

    #[test]
    fn a_node_that_has_said_goodbye_leaves_at_once() {
        let (mut roster, now) = (Roster::default(), Instant::now());
        let mut leaving = nodes(&["a", "b"]);
        leaving.get_mut("a").expect("it is there").is_draining = true;
        roster.update(&leaving, now);
        assert_eq!(names(&roster), ["a", "b"], "it still has calls");
        roster.update(&nodes(&["b"]), now);
        assert_eq!(names(&roster), ["b"]);
    }
}
