//! Every function, by its name and by its place.
//!
//! A route knows the place of its function: of a hundred thousand, a search by name goes through memory that is in no cache,
//! and a place is one step. A function keeps its place while it is there; a place whose function has gone is another's
//! later, so whoever comes by a place says whom it expects.

use std::sync::Arc;

use hatchway_proto::name::FunctionName;
use hatchway_wire::trie::Trie;
use imbl::Vector;

use super::Target;

/// All of them. A clone shares everything; a change costs as much as it changes.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    by_name: Trie<Arc<Target>>,
    places: Vector<Option<Arc<Target>>>,
    /// Places that nobody has.
    free: Vector<Place>,
}

/// Where a function stands, for as long as it is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place(u32);

impl Targets {
    /// The function of a name.
    pub fn get(&self, name: &FunctionName) -> Option<&Arc<Target>> {
        self.by_name.get(name)
    }

    /// The same, faster where it stands at `place`.
    pub fn at(&self, place: Place, name: &FunctionName) -> Option<&Arc<Target>> {
        let there = self.places.get(place.0 as usize).and_then(Option::as_ref);
        there.filter(|target| target.name == *name).or_else(|| self.get(name))
    }

    /// Where a function stands, or would be looked for by its name.
    pub fn place(&self, name: &FunctionName) -> Place {
        self.get(name).map_or(Place::default(), |target| target.place)
    }

    /// Puts a function in, at the place of the one with its name, which is given back.
    pub(super) fn insert(&mut self, mut target: Target) -> Option<Arc<Target>> {
        let known = self.get(&target.name).map(|known| known.place);
        target.place = known.unwrap_or_else(|| self.free_place());
        let place = target.place.0 as usize;
        let target = Arc::new(target);
        self.places.set(place, Some(Arc::clone(&target)));
        self.by_name.insert(target)
    }

    /// Takes a function out.
    pub(super) fn remove(&mut self, name: &FunctionName) -> Option<Arc<Target>> {
        let removed = self.by_name.remove(name)?;
        self.places.set(removed.place.0 as usize, None);
        self.free.push_back(removed.place);
        Some(removed)
    }

    fn free_place(&mut self) -> Place {
        self.free.pop_back().unwrap_or_else(|| {
            let place =
                u32::try_from(self.places.len()).expect("more functions than memory has room for");
            self.places.push_back(None);
            Place(place)
        })
    }

    /// Every function, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.by_name.iter()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(name: &FunctionName) -> Target {
        Target {
            name: name.clone(),
            place: Place::default(),
            function: serde_json::from_str("{}").unwrap(),
            releases: None,
            degrade: Default::default(),
            rate: None,
            line: None,
            metrics: Arc::default(),
        }
    }

    #[test]
    fn a_place_is_kept_and_another_at_it_is_not_taken_for_the_one_that_was_there() {
        let [a, b, c] = ["a", "b", "c"].map(|name| FunctionName::parse(name).unwrap());
        let mut targets = Targets::default();
        for name in [&a, &b] {
            assert!(targets.insert(target(name)).is_none());
        }
        let (of_a, of_b) = (targets.place(&a), targets.place(&b));
        assert_ne!(of_a, of_b);
        assert!(targets.insert(target(&b)).is_some());
        assert_eq!(targets.place(&b), of_b);
        let before = targets.clone();

        assert!(targets.remove(&b).is_some() && targets.remove(&b).is_none());
        assert!(targets.at(of_b, &b).is_none());
        targets.insert(target(&c));
        assert_eq!(targets.place(&c), of_b, "a place that is free is taken again");
        assert!(targets.at(of_b, &b).is_none());
        let found = |place, name| targets.at(place, name).map(|target| target.name.clone());
        assert_eq!((found(of_b, &c), found(of_a, &c)), (Some(c.clone()), Some(c.clone())));
        assert!(before.at(of_b, &b).is_some() && before.get(&c).is_none());
        assert_eq!(targets.iter().count(), 2);
    }
}
