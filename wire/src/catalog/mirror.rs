//! What a source has, and what is served of it: arithmetic over keys, values and revisions.
//!
//! A source's keys are read whole ([`Mirror::list`]) and then followed ([`Mirror::event`]). Both may be late, twice or
//! out of order: of each key the newest revision counts. An object that cannot be read is quarantined and its last
//! good form goes on being served. A source that has lost every object is not believed until an operator says so.

mod nodes;
mod trials;

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::quality::RandomState;
use hatchway_proto::catalog::keys::Place;
use hatchway_proto::catalog::{Candidate, Key, Keys, Object, Objects};

use super::status::Quarantine;

pub(super) use self::trials::Role;

use self::nodes::Registered;

type HashMap<V> = std::collections::HashMap<u64, V, RandomState>;

/// A key as it was last seen in the source, known by a hash of 64 bits: of a million keys two are taken for one with
/// a probability of 3e-8, and the next compare would find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    /// Of its last change.
    revision: i64,
    /// Hash of the value: what has not changed is not read again.
    value: u64,
}

/// What a source has, and what is served of it.
#[derive(Debug)]
pub(super) struct Mirror {
    keys: Keys,
    objects: Arc<Objects>,
    quarantined: Quarantine,
    seen: HashMap<Seen>,
    /// Keys that were deleted, and when: a put that comes late must not bring one back.
    deleted: HashMap<i64>,
    /// Everything up to here is in `seen`.
    floor: i64,
    may_be_empty: bool,
    is_held: bool,
    hasher: RandomState,
    role: Role,
    /// What is on trial and concerns us, by key: revisions and changes.
    trials: BTreeMap<String, (i64, Candidate)>,
    /// The objects with what is on trial, where anything is.
    tried: Option<Arc<Objects>>,
    /// Nodes that are registered.
    registered: Registered,
}

/// A whole source being read, page by page.
#[derive(Debug)]
pub(super) struct Listing {
    objects: Objects,
    quarantined: BTreeMap<String, String>,
    seen: HashMap<Seen>,
    /// Keys that were seen before as well.
    again: usize,
    may_be_empty: bool,
    trials: BTreeMap<String, (i64, Vec<u8>)>,
    nodes: Vec<(String, i64, Vec<u8>)>,
}

/// The keys of a source at one revision, to compare with.
#[derive(Debug)]
pub(super) struct KeyList {
    keys: Keys,
    hasher: RandomState,
    revisions: HashMap<i64>,
}

impl KeyList {
    /// Notes a key and the revision of its last change.
    pub(super) fn note(&mut self, key: &[u8], revision: i64) {
        if let Ok(Place::Object(_)) = self.keys.place(key) {
            self.revisions.insert(self.hasher.hash_one(key), revision);
        }
    }
}

impl Mirror {
    /// Of nothing but what is served already, such as what a disk has kept.
    pub(super) fn new(keys: Keys, objects: Arc<Objects>) -> Self {
        Self {
            keys,
            objects,
            quarantined: Arc::default(),
            seen: HashMap::default(),
            deleted: HashMap::default(),
            floor: 0,
            may_be_empty: false,
            is_held: false,
            hasher: RandomState::default(),
            role: Role::Reader,
            trials: BTreeMap::new(),
            tried: None,
            registered: Registered::default(),
        }
    }

    /// What the source has, without what is on trial.
    pub(super) fn objects(&self) -> Arc<Objects> {
        Arc::clone(&self.objects)
    }

    /// What was refused.
    pub(super) fn quarantined(&self) -> Quarantine {
        Arc::clone(&self.quarantined)
    }

    /// Objects are kept that the source does not have.
    pub(super) fn is_held(&self) -> bool {
        self.is_held
    }

    /// Begins to read the source whole.
    pub(super) fn list(&self) -> Listing {
        Listing {
            objects: Objects::clone(&self.objects),
            quarantined: BTreeMap::new(),
            seen: HashMap::default(),
            again: 0,
            may_be_empty: false,
            trials: BTreeMap::new(),
            nodes: Vec::new(),
        }
    }

    /// Takes one key and its value into a listing.
    pub(super) fn take(&self, listing: &mut Listing, key: &[u8], value: &[u8], revision: i64) {
        let place = match self.keys.place(key) {
            Ok(place) => place,
            Err(error) => {
                listing.quarantined.insert(self.keys.short(key), error.to_string());
                return;
            }
        };
        let object_key = match place {
            Place::Object(key) => key,
            Place::AllowEmpty => {
                listing.may_be_empty = true;
                return;
            }
            Place::Trial => {
                let key = self.keys.short(key);
                if self.concerns(&key) {
                    listing.trials.insert(key, (revision, value.to_vec()));
                }
                return;
            }
            Place::Node(name) => {
                listing.nodes.push((name, revision, value.to_vec()));
                return;
            }
            Place::Aside => return,
        };
        let (hash, seen) = self.seen_as(key, value, revision);
        let before = self.seen.get(&hash);
        listing.again += usize::from(before.is_some());
        listing.seen.insert(hash, seen);
        if before.is_some_and(|before| before.value == seen.value) {
            // As it was: good, or refused for the same reason.
            let short = object_key.to_string();
            if let Some(reason) = self.quarantined.get(&short) {
                listing.quarantined.insert(short, reason.clone());
            }
            return;
        }
        match Object::parse(object_key.clone(), value) {
            Ok(object) => {
                listing.objects.put(object);
            }
            Err(error) => {
                listing.quarantined.insert(object_key.to_string(), error.to_string());
            }
        }
    }

    /// What was read whole, as it was at `revision`, replaces what was known; what is not there any more goes. Where
    /// no object is left at all, everything is held instead.
    pub(super) fn replace(&mut self, listing: Listing, revision: i64) {
        let Listing { mut objects, quarantined, seen, again, may_be_empty, trials, nodes } =
            listing;
        // Otherwise whatever was there is there still: the usual case.
        let may_have_gone = self.seen.is_empty() || self.is_held || again < self.seen.len();
        self.may_be_empty = may_be_empty;
        self.is_held = seen.is_empty() && !self.objects.is_empty() && !may_be_empty;
        if !self.is_held {
            if may_have_gone {
                for key in self.missing(&objects, &seen) {
                    objects.remove(&key);
                }
            }
            if objects != *self.objects {
                let is_first = self.objects.is_empty();
                self.objects = Arc::new(if is_first { objects.packed() } else { objects });
            }
        }
        self.quarantined = Arc::new(quarantined);
        self.seen = seen;
        self.deleted.clear();
        self.floor = revision;
        self.trials.clear();
        for (key, (revision, value)) in trials {
            self.trial(key, Some((revision, &value)));
        }
        self.try_out();
        self.replace_nodes(nodes);
    }

    /// Takes in changes that belong together, each a key, its value unless it was deleted, and the revision of the
    /// change. True when everything has to be read anew: an operator has said something about an empty source.
    pub(super) fn events<'a>(
        &mut self,
        events: impl IntoIterator<Item = (&'a [u8], Option<&'a [u8]>, i64)>,
    ) -> bool {
        let mut objects = Objects::clone(&self.objects);
        let mut has_changed = false;
        let mut must_list = false;
        let mut has_trial_changed = false;
        let mut has_node_changed = false;
        for (key, value, revision) in events {
            match self.keys.place(key) {
                Ok(Place::Object(object_key)) => {
                    has_changed |= self.event(&mut objects, object_key, key, value, revision);
                }
                Ok(Place::AllowEmpty) => must_list = true,
                Ok(Place::Trial) => {
                    let key = self.keys.short(key);
                    if self.concerns(&key) {
                        self.trial(key, value.map(|value| (revision, value)));
                        has_trial_changed = true;
                    }
                }
                Ok(Place::Node(name)) => {
                    self.node(name, value, revision);
                    has_node_changed = true;
                }
                Ok(Place::Aside) => {}
                Err(error) => {
                    self.refuse(self.keys.short(key), value.map(|_| error.to_string()));
                }
            }
        }
        let is_emptied = self.seen.is_empty() && !self.objects.is_empty() && !self.may_be_empty;
        self.is_held |= is_emptied;
        if has_changed && !is_emptied {
            self.objects = Arc::new(objects);
        }
        if self.is_held && self.seen.len() >= self.objects.len() {
            // What was held may have been put back, whole.
            self.is_held = !self.missing(&self.objects, &self.seen).is_empty();
        }
        if has_node_changed {
            self.show_nodes();
        }
        // A trial that ends with its change ends in the same step.
        if has_trial_changed || has_changed && !self.trials.is_empty() {
            self.try_out();
        }
        must_list
    }

    /// Objects that the source does not have.
    fn missing(&self, objects: &Objects, seen: &HashMap<Seen>) -> Vec<Key> {
        let is_missing = |key: &Key| !seen.contains_key(&self.hash(self.keys.of(key).as_bytes()));
        objects.iter().map(|object| object.key()).filter(is_missing).collect()
    }

    /// One change of one object. True when `objects` has changed.
    fn event(
        &mut self,
        objects: &mut Objects,
        object_key: Key,
        key: &[u8],
        value: Option<&[u8]>,
        revision: i64,
    ) -> bool {
        let (hash, seen) = self.seen_as(key, value.unwrap_or_default(), revision);
        let newest = self.seen.get(&hash).map(|seen| seen.revision);
        let newest = newest.max(self.deleted.get(&hash).copied()).max(Some(self.floor));
        if newest.is_some_and(|newest| revision <= newest) {
            return false;
        }
        let Some(value) = value else {
            self.seen.remove(&hash);
            self.deleted.insert(hash, revision);
            self.refuse(object_key.to_string(), None);
            return !self.is_held && objects.remove(&object_key);
        };
        self.seen.insert(hash, seen);
        self.deleted.remove(&hash);
        match Object::parse(object_key.clone(), value) {
            Ok(object) => {
                self.refuse(object_key.to_string(), None);
                objects.put(object)
            }
            Err(error) => {
                self.refuse(object_key.to_string(), Some(error.to_string()));
                false
            }
        }
    }

    fn refuse(&mut self, key: String, reason: Option<String>) {
        match reason {
            Some(reason) => {
                Arc::make_mut(&mut self.quarantined).insert(key, reason);
            }
            None if self.quarantined.contains_key(&key) => {
                Arc::make_mut(&mut self.quarantined).remove(&key);
            }
            None => {}
        }
    }

    /// Begins to note the source's keys.
    pub(super) fn key_list(&self) -> KeyList {
        KeyList {
            keys: self.keys.clone(),
            hasher: self.hasher.clone(),
            revisions: HashMap::default(),
        }
    }

    /// How many keys differ from those that the source had at the revision `at`. Where none does, everything up to
    /// there is settled.
    pub(super) fn compare(&mut self, list: &KeyList, at: i64) -> usize {
        let mut same = 0;
        let mut unknown = 0;
        for (key, revision) in &list.revisions {
            match self.seen.get(key) {
                Some(seen) => same += usize::from(seen.revision == *revision),
                None => {
                    let is_deleted = self.deleted.get(key).is_some_and(|deleted| *deleted > at);
                    unknown += usize::from(!is_deleted);
                }
            }
        }
        // What has changed since is not to be compared.
        let known = self.seen.values().filter(|seen| seen.revision <= at).count();
        let drift = unknown + known.saturating_sub(same);
        if drift == 0 {
            self.floor = self.floor.max(at);
            self.deleted.retain(|_, deleted| *deleted > at);
        }
        drift
    }

    fn seen_as(&self, key: &[u8], value: &[u8], revision: i64) -> (u64, Seen) {
        (self.hash(key), Seen { revision, value: self.hash(value) })
    }

    fn hash(&self, bytes: &[u8]) -> u64 {
        self.hasher.hash_one(bytes)
    }
}

#[cfg(test)]
mod tests;
