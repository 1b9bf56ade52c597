//! Which versions the rules name, and which they named until a while ago: kept from one change to the next, so that a change
//! costs what it changes. No clock, no pool.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use hatchway_proto::catalog::{Objects, Version};
use hatchway_proto::name::{FunctionName, VersionId};

/// What the rules name.
#[derive(Debug, Default)]
pub(crate) struct Named {
    objects: Objects,
    /// No longer named, since then.
    left: HashMap<VersionId, (Instant, Arc<Version>)>,
}

/// A version that is named.
#[derive(Clone, Debug)]
pub(crate) struct Serving {
    pub(crate) id: VersionId,
    pub(crate) version: Arc<Version>,
    pub(crate) queue_depth: u32,
    /// Its function grows over all nodes.
    pub(crate) grows: bool,
    /// Neither named before, nor until a while ago.
    pub(crate) is_new: bool,
}

impl Named {
    /// Takes over other rules. Gives back what is named by functions that have changed.
    pub(crate) fn change(&mut self, objects: &Objects, now: Instant) -> Vec<Serving> {
        let was = std::mem::replace(&mut self.objects, objects.clone());
        let mut serving = Vec::new();
        for function in objects.changed_functions(&was) {
            let before = of(&was, &function);
            let after = of(objects, &function);
            for (id, version, _) in &before {
                if !after.iter().any(|(other, ..)| other == id) {
                    self.left.insert(*id, (now, Arc::clone(version)));
                }
            }
            let settings = objects.functions.get(&function);
            let grows = settings.is_some_and(|settings| settings.growth.is_some());
            for (id, version, queue_depth) in after {
                let is_known = before.iter().any(|(other, ..)| *other == id);
                let is_new = self.left.remove(&id).is_none() && !is_known;
                serving.push(Serving { id, version, queue_depth, grows, is_new });
            }
        }
        serving
    }

    /// Forgets what left at this time or before.
    pub(crate) fn forget(&mut self, until: Instant) -> Vec<(VersionId, Arc<Version>)> {
        let gone = self.left.extract_if(|_, (since, _)| *since <= until);
        gone.map(|(id, (_, version))| (id, version)).collect()
    }

    /// Since when the longest of those that left is gone.
    pub(crate) fn first_left(&self) -> Option<Instant> {
        self.left.values().map(|(since, _)| *since).min()
    }
}

/// The versions that a release of the function may choose, each once. A gateway lets no release lead to a version of another
/// function, and neither do we.
fn of(objects: &Objects, function: &FunctionName) -> Vec<(VersionId, Arc<Version>, u32)> {
    let (settings, release) = (objects.functions.get(function), objects.releases.get(function));
    let Some((settings, release)) = settings.zip(release) else { return Vec::new() };
    let mut ids: Vec<_> = release.versions().collect();
    ids.sort_unstable();
    ids.dedup();
    let known = ids.into_iter().filter_map(|id| Some((id, objects.versions.get(&id)?)));
    let own = known.filter(|(_, version)| version.function == *function);
    own.map(|(id, version)| (id, Arc::clone(version), settings.queue_depth)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use hatchway_proto::catalog::{Key, Object};
    use proptest::prelude::*;

    use super::*;

    /// Two functions, each with some of four versions, which are its own but for the last.
    fn objects(releases: [Option<(u8, u8)>; 2], depth: u32) -> Objects {
        let mut objects = Objects::default();
        let mut put = |key: String, value: serde_json::Value| {
            let object = Object::parse(Key::parse(&key).unwrap(), value.to_string().as_bytes());
            objects.put(object.unwrap());
        };
        for (name, release) in ["a", "b"].into_iter().zip(releases) {
            put(format!("functions/local/{name}"), serde_json::json!({ "queue_depth": depth }));
            for n in 0..4 {
                let owner = if n == 3 { "local/c".to_owned() } else { format!("local/{name}") };
                put(
                    format!("versions/{name}00000000000000{n}"),
                    serde_json::json!({
                        "function": owner, "package": {"root": "/", "digest": ""}, "runtime": {"kind": "command", "argv": ["a"]},
                        "resources": {"cpu_millis": 1, "memory_bytes": 1, "pids": 1, "files": 1, "tmp_bytes": 1},
                        "concurrency": 1, "min": 0, "max": 1, "idle_timeout": "1s",
                        "clocks": {"queue": "1s", "start": "1s", "first_byte": "1s", "idle": "1s", "run": "1s"}
                    }),
                );
            }
            if let Some((stable, tag)) = release {
                put(
                    format!("releases/local/{name}"),
                    serde_json::json!({
                        "stable": format!("{name}00000000000000{stable}"), "tags": {"t": format!("{name}00000000000000{tag}")}
                    }),
                );
            }
        }
        objects
    }

    fn all(objects: &Objects) -> BTreeMap<VersionId, u32> {
        let all = objects.functions.keys().flat_map(|name| of(objects, name));
        all.map(|(id, _, depth)| (id, depth)).collect()
    }

    proptest! {
        /// A pool that does what it is told, beside one that looks at everything.
        #[test]
        fn what_is_told_by_and_by_is_what_is_named_at_last_or_left_lately(
            steps in proptest::collection::vec(
                (proptest::array::uniform2(proptest::option::of((0..4_u8, 0..4_u8))), 1..3_u32), 1..20,
            ),
        ) {
            let start = Instant::now();
            const KEPT: usize = 3;
            let keep = Duration::from_secs(KEPT as u64);
            let (mut named, mut pool) = (Named::default(), BTreeMap::new());
            let mut history = Vec::new();
            for (second, (releases, depth)) in steps.into_iter().enumerate() {
                let now = start + Duration::from_secs(second as u64);
                let rules = objects(releases, depth);
                for Serving { id, queue_depth, is_new, .. } in named.change(&rules, now) {
                    prop_assert_eq!(pool.insert(id, queue_depth).is_none(), is_new);
                }
                for (id, _) in named.forget(now - keep) {
                    prop_assert!(pool.remove(&id).is_some());
                }
                for (id, depth) in &all(&rules) {
                    prop_assert_eq!(pool.get(id), Some(depth));
                }
                // Of each step the versions were named until the next one.
                history.push(all(&rules));
                let lately = history.iter().rev().take(KEPT + 1);
                let lately: BTreeMap<_, _> = lately.flatten().collect();
                prop_assert_eq!(pool.keys().collect::<Vec<_>>(), lately.into_keys().collect::<Vec<_>>());
            }
        }
    }
}
