//! Which routes lead to a function.
//!
//! A route has the function that it leads to at hand: to look for one of a hundred thousand by its name goes through memory that
//! is in no cache. A function that changes is therefore told to its routes. Where it has more than a few, as one behind a
//! thousand customers' hosts, a change would cost as much as all of them; those routes know its name alone.

use std::sync::Arc;

use hatchway_proto::name::FunctionName;
use hatchway_wire::trie::{Keyed, Trie};
use imbl::OrdSet;

/// So many routes have their function at hand. A change of it costs some microseconds for each.
const FEW: usize = 16;

/// The names of all routes, by their function. A clone shares everything; a change costs as much as it changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Leading(Trie<Led>);

/// A function with at least one route, whether or not it is there.
#[derive(Clone, Debug)]
struct Led {
    function: FunctionName,
    routes: Names,
}

/// One, as nearly everywhere, is no pointer away.
#[derive(Clone, Debug)]
enum Names {
    One([Arc<str>; 1]),
    /// In order.
    Few(Arc<[Arc<str>]>),
    Many(OrdSet<Arc<str>>),
}

impl Keyed for Led {
    type Key = FunctionName;

    fn key(&self) -> &FunctionName {
        &self.function
    }
}

impl Leading {
    /// Notes that the route `name` leads to `function`. Gives back the routes that have had it at hand, where they are too many now.
    #[must_use]
    pub(super) fn insert(&mut self, function: &FunctionName, name: &Arc<str>) -> Vec<Arc<str>> {
        let known = self.0.get(function).map(|led| &led.routes);
        if known.is_some_and(|known| known.contains(name)) {
            return Vec::new();
        }
        if let Some(Names::Many(_)) = known {
            self.change_many(function, |all| drop(all.insert(Arc::clone(name))));
            return Vec::new();
        }
        let were_few = known.and_then(Names::few).unwrap_or_default();
        let all = were_few.iter().chain([name]).cloned();
        let are_too_many = were_few.len() == FEW;
        let crossed = if are_too_many { were_few.to_vec() } else { Vec::new() };
        let routes =
            if are_too_many { Names::Many(all.collect()) } else { Names::few_of(all.collect()) };
        self.0.insert(Led { function: function.clone(), routes });
        crossed
    }

    /// Forgets that the route `name` leads to `function`. Gives back the routes that may have it at hand from now on.
    #[must_use]
    pub(super) fn remove(&mut self, function: &FunctionName, name: &str) -> Vec<Arc<str>> {
        let Some(known) = self.0.get(function).map(|led| &led.routes) else { return Vec::new() };
        if !known.contains(name) {
            return Vec::new();
        }
        let were_many = match known {
            Names::Many(all) if all.len() > FEW + 1 => {
                self.change_many(function, |all| drop(all.remove(name)));
                return Vec::new();
            }
            Names::Many(_) => true,
            Names::One(_) | Names::Few(_) => false,
        };
        let left: Vec<_> = known.iter().filter(|known| ***known != *name).cloned().collect();
        if left.is_empty() {
            self.0.remove(function);
        } else {
            let routes = Names::few_of(left.clone());
            self.0.insert(Led { function: function.clone(), routes });
        }
        if were_many { left } else { Vec::new() }
    }

    /// Changes the names of many where they are: to make a set of them anew would be dear.
    fn change_many(&mut self, function: &FunctionName, change: impl FnOnce(&mut OrdSet<Arc<str>>)) {
        if let Some(Led { routes: Names::Many(all), .. }) = self.0.get_mut(function) {
            change(all);
        }
    }

    /// The names of the routes to a function, in order.
    pub(super) fn names(&self, function: &FunctionName) -> impl Iterator<Item = &Arc<str>> {
        self.0.get(function).into_iter().flat_map(|led| led.routes.iter())
    }

    /// The same where they are few enough to have it at hand.
    pub(super) fn few(&self, function: &FunctionName) -> Option<&[Arc<str>]> {
        self.0.get(function).map_or(Some(&[]), |led| led.routes.few())
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Names {
    fn few_of(mut all: Vec<Arc<str>>) -> Self {
        all.sort();
        <[Arc<str>; 1]>::try_from(all).map_or_else(|all| Self::Few(all.into()), Self::One)
    }

    fn few(&self) -> Option<&[Arc<str>]> {
        match self {
            Self::One(one) => Some(one),
            Self::Few(all) => Some(all),
            Self::Many(_) => None,
        }
    }

    fn contains(&self, name: &str) -> bool {
        match self {
            Self::One(_) | Self::Few(_) => self.iter().any(|known| **known == *name),
            Self::Many(all) => all.contains(name),
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        let many = match self {
            Self::One(_) | Self::Few(_) => None,
            Self::Many(all) => Some(all),
        };
        self.few().unwrap_or_default().iter().chain(many.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_knows_all_of_them_and_says_when_they_are_too_many_and_when_no_more(
            steps in proptest::collection::vec((0..2_usize, 0..24_usize, 0..3_u8), 0..300),
        ) {
            let functions = ["a", "b"].map(|name| FunctionName::parse(name).unwrap());
            let mut known = [BTreeSet::new(), BTreeSet::new()];
            let mut leading = Leading::default();
            for (function, name, kind) in steps {
                let (function, known) = (&functions[function], &mut known[function]);
                let name: Arc<str> = format!("r{name:02}").into();
                let before: Vec<_> = known.iter().cloned().collect();
                // More come than go.
                let crossed = if kind > 0 {
                    known.insert(Arc::clone(&name));
                    leading.insert(function, &name)
                } else {
                    known.remove(&name);
                    leading.remove(function, &name)
                };
                let after: Vec<_> = known.iter().cloned().collect();
                let expected = match (before.len(), after.len()) {
                    (FEW, now) if now > FEW => before,
                    (was, FEW) if was > FEW => after.clone(),
                    _ => Vec::new(),
                };
                prop_assert_eq!(crossed, expected);
                prop_assert_eq!(leading.names(function).cloned().collect::<Vec<_>>(), after.clone());
                prop_assert_eq!(leading.few(function).map(<[_]>::len), (after.len() <= FEW).then_some(after.len()));
            }
            prop_assert_eq!(leading.is_empty(), known.iter().all(BTreeSet::is_empty));
        }
    }
}
