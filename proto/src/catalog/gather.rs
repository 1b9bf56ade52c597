//! Many objects at once: maps whose nodes are full, filled in one go.

use std::sync::Arc;

use imbl::OrdMap;

use super::{Object, Objects};
use crate::name::FunctionName;

impl Objects {
    /// All of `objects`; of those with the same key, the last. Cheaper than to [put](Self::put) one after the other, also in
    /// memory afterwards.
    pub fn gather(objects: impl IntoIterator<Item = Object>) -> Self {
        let (mut functions, mut versions) = (Vec::new(), Vec::new());
        let (mut routes, mut releases) = (Vec::new(), Vec::new());
        for object in objects {
            match object {
                Object::Function(name, function) => functions.push((name, function)),
                Object::Version(id, version) => versions.push((id, version)),
                Object::Route(name, route) => routes.push((Arc::<str>::from(name), route)),
                Object::Release(name, release) => releases.push((name, release)),
            }
        }
        in_order(&mut functions);
        let share = |name: &mut FunctionName| {
            if let Ok(known) = functions.binary_search_by(|(known, _)| known.cmp(name)) {
                *name = functions[known].0.clone();
            }
        };
        for version in versions.iter_mut().filter_map(|(_, version)| Arc::get_mut(version)) {
            share(&mut version.function);
        }
        for route in routes.iter_mut().filter_map(|(_, route)| Arc::get_mut(route)) {
            share(&mut route.function);
        }
        releases.iter_mut().for_each(|(name, _)| share(name));
        in_order(&mut versions);
        in_order(&mut routes);
        in_order(&mut releases);
        Self {
            functions: full(functions),
            versions: full(versions),
            routes: full(routes),
            releases: full(releases),
        }
    }

    /// The same objects in less memory: whoever has taken in many in their order has maps that are half empty.
    #[must_use]
    pub fn packed(&self) -> Self {
        fn packed<K: Ord + Clone, V: Clone>(map: &OrdMap<K, V>) -> OrdMap<K, V> {
            full(map.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
        }
        Self {
            functions: packed(&self.functions),
            versions: packed(&self.versions),
            routes: packed(&self.routes),
            releases: packed(&self.releases),
        }
    }
}

/// By key, each once, the last of its kind. Nothing is to be done where it is so already: the usual case.
fn in_order<K: Ord, V>(entries: &mut Vec<(K, V)>) {
    if entries.is_sorted_by(|(one, _), (other, _)| one < other) {
        return;
    }
    entries.reverse();
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    entries.dedup_by(|(one, _), (other, _)| one == other);
}

/// A map with full leaves. In the order of the keys each leaf is split in two halves, of which the first stays as it is; so every
/// other key comes first, and the rest fills the other halves.
fn full<K: Ord + Clone, V: Clone>(entries: Vec<(K, V)>) -> OrdMap<K, V> {
    let (mut map, mut others) = (OrdMap::new(), Vec::with_capacity(entries.len() / 2));
    for (index, (key, value)) in entries.into_iter().enumerate() {
        if index % 2 == 0 {
            map.insert(key, value);
        } else {
            others.push((key, value));
        }
    }
    for (key, value) in others {
        map.insert(key, value);
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Key;

    fn object(key: &str, json: &str) -> Object {
        Object::parse(Key::parse(key).unwrap(), json.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_gathered_is_what_was_put_whatever_the_order() {
        let gathered = Objects::gather(all());
        let mut put = Objects::default();
        for object in all() {
            put.put(object);
        }
        assert_eq!(gathered, put);
        assert_eq!((put.packed(), gathered.len()), (put, 301));
        let (route, name) = (&gathered.routes["r7"], FunctionName::parse("f7").unwrap());
        let known = gathered.functions.get_key_value(&name).unwrap().0;
        assert!(std::ptr::eq(route.function.as_str(), known.as_str()), "a name is there once");
    }

    fn all() -> Vec<Object> {
        let mut all = vec![object("functions/local/a", r#"{"queue_depth":1}"#)];
        for n in 0..100 {
            all.push(object(&format!("functions/local/f{n}"), "{}"));
            let route = format!(r#"{{"path":"/{n}","function":"local/f{n}"}}"#);
            all.push(object(&format!("routes/r{n}"), &route));
            let release = format!(r#"{{"stable":"{n:016x}"}}"#);
            all.push(object(&format!("releases/local/f{n}"), &release));
        }
        all.push(object("functions/local/a", r#"{"queue_depth":2}"#));
        all
    }
}
