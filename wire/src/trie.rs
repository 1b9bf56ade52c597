//! A set that shares everything with the one it was made from but the way to what has changed: a hash array mapped trie
//! (Bagwell 2001) whose nodes have no empty places.
//!
//! Of its own because of what it costs. In memory: a few bytes beside the item, in a hundred thousand as in ten, where the maps
//! of `imbl` have nodes of a fixed width, of which 100,000 items fill a fifth. In time: items stand in the nodes themselves, and
//! to find one of 100,000 is one step into memory that is in no cache, or two for a third of them. The two steps before are among
//! 4,160 places, which a core's cache holds. (With 32 places in a node it is one step more for nearly all.)

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use foldhash::fast::FixedState;

/// Bits of the hash that one node looks at: as many places as a word has bits.
const BITS: u32 = 6;

/// Something that is found by a part of itself.
pub trait Keyed {
    /// That part. Keys come from operators: the hash is no secret.
    type Key: Hash + Eq + ?Sized;

    /// That part.
    fn key(&self) -> &Self::Key;
}

impl<T: Keyed> Keyed for Arc<T> {
    type Key = T::Key;

    fn key(&self) -> &T::Key {
        (**self).key()
    }
}

/// The set.
#[derive(Clone, Debug)]
pub struct Trie<T>(Option<Place<T>>);

/// What stands where a hash leads.
#[derive(Clone, Debug)]
enum Place<T> {
    One(T),
    /// Of one hash, all 64 bits of it.
    Same(Arc<[T]>),
    /// A bit for each value of the next bits of the hash, and a place for each bit that is set.
    Node(u64, Arc<[Place<T>]>),
}

impl<T> Default for Trie<T> {
    fn default() -> Self {
        Self(None)
    }
}

/// The hash by which a key is found in any set.
pub fn hash<K: Hash + ?Sized>(key: &K) -> u64 {
    FixedState::default().hash_one(key)
}

/// The bit of a hash at a depth, and the index of its place.
fn at(bits: u64, hash: u64, depth: u32) -> (u64, usize) {
    let bit = 1 << ((hash >> (depth * BITS)) & ((1 << BITS) - 1));
    (bit, (bits & (bit - 1)).count_ones() as usize)
}

impl<T: Keyed + Clone> Trie<T> {
    /// The item of a key.
    pub fn get(&self, key: &T::Key) -> Option<&T> {
        // Where there is one item, as on most hosts, nothing is hashed.
        let hash = if matches!(self.0, Some(Place::One(_))) { 0 } else { hash(key) };
        self.get_hashed(hash, key)
    }

    /// The same for a key whose [hash] is known.
    pub fn get_hashed(&self, hash: u64, key: &T::Key) -> Option<&T> {
        let mut place = self.0.as_ref()?;
        let mut rest = hash;
        loop {
            match place {
                Place::One(item) => return (item.key() == key).then_some(item),
                Place::Same(items) => return items.iter().find(|item| item.key() == key),
                Place::Node(bits, places) => {
                    let (bit, index) = at(*bits, rest, 0);
                    if bits & bit == 0 {
                        return None;
                    }
                    place = &places[index];
                    rest >>= BITS;
                }
            }
        }
    }

    /// The item of a key, to be changed where it is. Its key must stay as it is.
    pub fn get_mut(&mut self, key: &T::Key) -> Option<&mut T> {
        // What is not there need not be looked for by making the way to it our own.
        self.get(key)?;
        let mut place = self.0.as_mut()?;
        let mut rest = hash(key);
        loop {
            match place {
                Place::One(item) => return Some(item),
                Place::Same(items) => {
                    return Arc::make_mut(items).iter_mut().find(|item| item.key() == key);
                }
                Place::Node(bits, places) => {
                    let (_, index) = at(*bits, rest, 0);
                    place = &mut Arc::make_mut(places)[index];
                    rest >>= BITS;
                }
            }
        }
    }

    /// Puts an item in, and gives back the one whose place it takes.
    pub fn insert(&mut self, item: T) -> Option<T> {
        match &mut self.0 {
            None => {
                self.0 = Some(Place::One(item));
                None
            }
            Some(place) => place.insert(hash(item.key()), item, 0),
        }
    }

    /// Takes the item of a key out.
    pub fn remove(&mut self, key: &T::Key) -> Option<T> {
        let place = self.0.as_mut()?;
        let (removed, is_empty) = place.remove(hash(key), key, 0);
        if is_empty {
            self.0 = None;
        }
        removed
    }

    /// Every item, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let mut waiting: Vec<&Place<T>> = self.0.iter().collect();
        let next = move || {
            loop {
                match waiting.pop()? {
                    Place::One(item) => return Some(std::slice::from_ref(item)),
                    Place::Same(items) => return Some(&items[..]),
                    Place::Node(_, places) => waiting.extend(places.iter()),
                }
            }
        };
        std::iter::from_fn(next).flatten()
    }
}

impl<T> Trie<T> {
    /// Any item, always the same one.
    pub fn first(&self) -> Option<&T> {
        let mut place = self.0.as_ref()?;
        loop {
            match place {
                Place::One(item) => return Some(item),
                Place::Same(items) => return items.first(),
                Place::Node(_, places) => place = places.first()?,
            }
        }
    }

    /// The item that is alone in it.
    pub fn only(&self) -> Option<&T> {
        match self.0.as_ref()? {
            Place::One(item) => Some(item),
            Place::Same(_) | Place::Node(..) => None,
        }
    }

    /// True when there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl<T: Keyed + Clone> Place<T> {
    fn insert(&mut self, hash: u64, item: T, depth: u32) -> Option<T> {
        match self {
            Self::One(known) if known.key() == item.key() => Some(std::mem::replace(known, item)),
            Self::One(known) => {
                let known = known.clone();
                *self = Self::pair((self::hash(known.key()), known), (hash, item), depth);
                None
            }
            Self::Same(items) => {
                let known = items.iter().position(|known| known.key() == item.key());
                let mut all = items.to_vec();
                let before = match known {
                    Some(index) => Some(std::mem::replace(&mut all[index], item)),
                    None => {
                        all.push(item);
                        None
                    }
                };
                *items = all.into();
                before
            }
            Self::Node(bits, places) => {
                let (bit, index) = at(*bits, hash, depth);
                if *bits & bit != 0 {
                    return Arc::make_mut(places)[index].insert(hash, item, depth + 1);
                }
                let (below, above) = places.split_at(index);
                let below = below.iter().cloned();
                *places = below.chain([Self::One(item)]).chain(above.iter().cloned()).collect();
                *bits |= bit;
                None
            }
        }
    }

    /// Two items with different keys.
    fn pair(one: (u64, T), other: (u64, T), depth: u32) -> Self {
        if depth * BITS >= u64::BITS {
            return Self::Same([one.1, other.1].into());
        }
        let ((first, _), (second, _)) = (at(0, one.0, depth), at(0, other.0, depth));
        if first == second {
            return Self::Node(first, [Self::pair(one, other, depth + 1)].into());
        }
        let (low, high) = if first < second { (one, other) } else { (other, one) };
        Self::Node(first | second, [Self::One(low.1), Self::One(high.1)].into())
    }

    /// The item that is gone, and whether nothing is left.
    fn remove(&mut self, hash: u64, key: &T::Key, depth: u32) -> (Option<T>, bool) {
        match self {
            Self::One(item) if item.key() == key => (Some(item.clone()), true),
            Self::One(_) => (None, false),
            Self::Same(items) => {
                let removed = items.iter().find(|item| item.key() == key).cloned();
                let mut left: Vec<T> =
                    items.iter().filter(|item| item.key() != key).cloned().collect();
                match left.pop() {
                    Some(last) if left.is_empty() => *self = Self::One(last),
                    Some(last) => {
                        left.push(last);
                        *items = left.into();
                    }
                    None => return (removed, true),
                }
                (removed, false)
            }
            Self::Node(bits, places) => {
                let (bit, index) = at(*bits, hash, depth);
                if *bits & bit == 0 {
                    return (None, false);
                }
                let (removed, is_empty) = Arc::make_mut(places)[index].remove(hash, key, depth + 1);
                if is_empty {
                    let (below, above) = (&places[..index], &places[index + 1..]);
                    *places = below.iter().chain(above).cloned().collect();
                    *bits &= !bit;
                }
                // One item needs no node around it.
                if let [Self::One(_) | Self::Same(_)] = &**places {
                    let alone = places[0].clone();
                    *self = alone;
                    return (removed, false);
                }
                (removed, places.is_empty())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// A key whose hash is a part of it, so that hashes meet.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    struct Name(u8);

    impl Hash for Name {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            (self.0 % 8).hash(state);
        }
    }

    #[derive(Clone, Debug, PartialEq)]
    struct Item(Name, u32);

    impl Keyed for Item {
        type Key = Name;

        fn key(&self) -> &Name {
            &self.0
        }
    }

    fn all(trie: &Trie<Item>) -> BTreeMap<Name, u32> {
        trie.iter().map(|item| (item.0, item.1)).collect()
    }

    proptest! {
        #[test]
        fn it_is_the_map_that_it_should_be_and_so_is_the_one_before(
            steps in proptest::collection::vec((0..40_u8, proptest::option::of(any::<u32>())), 0..200),
        ) {
            let (mut trie, mut map) = (Trie::default(), BTreeMap::new());
            for (name, value) in steps {
                let name = Name(name);
                let (before, known) = (trie.clone(), map.clone());
                let (was, is) = match value {
                    Some(value) => (trie.insert(Item(name, value)), map.insert(name, value)),
                    None => (trie.remove(&name), map.remove(&name)),
                };
                prop_assert_eq!(was.map(|item| item.1), is);
                prop_assert_eq!(all(&trie), map.clone());
                prop_assert_eq!(trie.is_empty(), map.is_empty());
                prop_assert_eq!(all(&before), known);
                for name in (0..40).map(Name) {
                    prop_assert_eq!(trie.get(&name).map(|item| item.1), map.get(&name).copied());
                }
                let mut changed = trie.clone();
                if let Some(item) = changed.get_mut(&name) {
                    item.1 = !item.1;
                }
                for other in (0..40).map(Name) {
                    let expected = map.get(&other).map(|value| if other == name { !value } else { *value });
                    prop_assert_eq!(changed.get(&other).map(|item| item.1), expected);
                }
                prop_assert_eq!(all(&trie), map.clone());
            }
        }
    }

    #[derive(Clone, Debug)]
    struct Number(u32);

    impl Keyed for Number {
        type Key = u32;

        fn key(&self) -> &u32 {
            &self.0
        }
    }

    #[test]
    fn many_come_and_go() {
        let mut trie = Trie::default();
        for n in 0..10_000 {
            assert!(trie.insert(Number(n)).is_none());
        }
        assert_eq!(trie.iter().count(), 10_000);
        for n in (0..10_000).filter(|n| n % 3 != 0) {
            assert_eq!(trie.remove(&n).map(|it| it.0), Some(n));
        }
        assert!((0..10_000).all(|n| trie.get(&n).is_some() == (n % 3 == 0)));
        for n in 0..10_000 {
            trie.remove(&n);
        }
        assert!(trie.is_empty());
    }
}
