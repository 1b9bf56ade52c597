//! One object with its key: what a source hands on, and how a set of objects takes it in.

use std::collections::BTreeSet;
use std::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use serde::de::DeserializeOwned;

use super::check::Mistake;
use super::keys::Key;
use super::{Degrade, Function, Objects, Release, Route, Version};
use crate::name::{FunctionName, VersionId};

/// The longest object, in bytes of JSON: many times a release with all the rules that it may have.
pub const OBJECT_BYTES: usize = 1 << 20;

/// An object and its key.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// What users call.
    Function(FunctionName, Arc<Function>),
    /// A build of it.
    Version(VersionId, Arc<Version>),
    /// A host and a path.
    Route(String, Arc<Route>),
    /// Which version of a function answers.
    Release(FunctionName, Arc<Release>),
}

/// Why a value is not the object that its key promises.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// Not worth reading.
    #[error("has {0} bytes, {OBJECT_BYTES} are allowed")]
    TooLong(usize),
    /// A list would be taken for the fields in their order.
    #[error("is no JSON object: it starts with {{")]
    NoObject,
    /// No JSON, a field too many, a field too few, or one of another type.
    #[error("{0}")]
    Malformed(#[from] serde_json::Error),
    /// Well-formed, and wrong.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Mistakes(Vec<Mistake>),
}

impl Object {
    /// Reads the value that stands under `key`, and checks it as far as it can be seen by itself.
    ///
    /// # Errors
    /// [`ObjectError`].
    pub fn parse(key: Key, json: &[u8]) -> Result<Self, ObjectError> {
        Ok(match key {
            Key::Function(name) => {
                let function = read(json, |function: &Function| function.mistakes(&name))?;
                Self::Function(name, function)
            }
            Key::Version(id) => Self::Version(id, read(json, |_| Vec::new())?),
            Key::Route(name) => Self::Route(name, read(json, Route::mistakes)?),
            Key::Release(name) => {
                let release = read(json, |release: &Release| release.mistakes_of(Some(&name)))?;
                Self::Release(name, release)
            }
        })
    }

    /// Which one.
    pub fn key(&self) -> Key {
        match self {
            Self::Function(name, _) => Key::Function(name.clone()),
            Self::Version(id, _) => Key::Version(*id),
            Self::Route(name, _) => Key::Route(name.clone()),
            Self::Release(name, _) => Key::Release(name.clone()),
        }
    }

    /// The objects that it leads to, and is nothing without.
    pub fn names(&self) -> Vec<Key> {
        let degraded = |all: &[Degrade]| -> Vec<Key> {
            all.iter().filter_map(|one| one.function.clone()).map(Key::Function).collect()
        };
        match self {
            Self::Function(_, function) => degraded(&function.degrade),
            Self::Version(_, version) => vec![Key::Function(version.function.clone())],
            Self::Route(_, route) => vec![Key::Function(route.function.clone())],
            Self::Release(name, release) => {
                let mut names = degraded(&release.degrade);
                names.push(Key::Function(name.clone()));
                names.extend(release.versions().map(Key::Version));
                names
            }
        }
    }

    /// The value as it is stored: one line.
    ///
    /// # Panics
    /// Never: objects are strings, numbers and maps with text keys.
    pub fn json(&self) -> Vec<u8> {
        let json = match self {
            Self::Function(_, function) => serde_json::to_vec(function),
            Self::Version(_, version) => serde_json::to_vec(version),
            Self::Route(_, route) => serde_json::to_vec(route),
            Self::Release(_, release) => serde_json::to_vec(release),
        };
        json.expect("objects are strings, numbers and maps with text keys")
    }
}

fn read<T: DeserializeOwned>(
    json: &[u8],
    mistakes: impl Fn(&T) -> Vec<Mistake>,
) -> Result<Arc<T>, ObjectError> {
    if json.len() > OBJECT_BYTES {
        return Err(ObjectError::TooLong(json.len()));
    }
    if json.trim_ascii_start().first() != Some(&b'{') {
        return Err(ObjectError::NoObject);
    }
    let object = serde_json::from_slice(json)?;
    let found = mistakes(&object);
    if found.is_empty() { Ok(Arc::new(object)) } else { Err(ObjectError::Mistakes(found)) }
}

fn changed_keys<K: Ord + Clone, V: PartialEq>(
    was: &OrdMap<K, V>,
    now: &OrdMap<K, V>,
) -> BTreeSet<K> {
    let key = |change| match change {
        DiffItem::Add(key, _)
        | DiffItem::Update { new: (key, _), .. }
        | DiffItem::Remove(key, _) => key,
    };
    was.diff(now).map(|change| K::clone(key(change))).collect()
}

impl Objects {
    /// Takes an object in. One that is there already as it is stays the same allocation, so that whoever compares
    /// pointers sees no change. True when something has changed.
    pub fn put(&mut self, object: Object) -> bool {
        fn put<K: Ord + Clone, V: PartialEq>(
            map: &mut OrdMap<K, Arc<V>>,
            key: K,
            value: Arc<V>,
        ) -> bool {
            let is_new = map.get(&key) != Some(&value);
            if is_new {
                map.insert(key, value);
            }
            is_new
        }
        match object {
            Object::Function(name, function) => put(&mut self.functions, name, function),
            Object::Version(id, mut version) => {
                self.share(Arc::get_mut(&mut version).map(|version| &mut version.function));
                put(&mut self.versions, id, version)
            }
            Object::Route(name, mut route) => {
                self.share(Arc::get_mut(&mut route).map(|route| &mut route.function));
                put(&mut self.routes, name.into(), route)
            }
            Object::Release(mut name, release) => {
                self.share(Some(&mut name));
                put(&mut self.releases, name, release)
            }
        }
    }

    /// A name of a function is the same allocation in all that leads to it; there are four of each.
    fn share(&self, name: Option<&mut FunctionName>) {
        let Some(name) = name else { return };
        if let Some((known, _)) = self.functions.get_key_value(name) {
            *name = known.clone();
        }
    }

    /// Functions whose settings, release or versions are not what they were `before`, in the time that the difference takes.
    pub fn changed_functions(&self, before: &Self) -> BTreeSet<FunctionName> {
        let mut changed = changed_keys(&before.functions, &self.functions);
        changed.extend(changed_keys(&before.releases, &self.releases));
        for change in before.versions.diff(&self.versions) {
            let (DiffItem::Add(_, version)
            | DiffItem::Update { new: (_, version), .. }
            | DiffItem::Remove(_, version)) = change;
            changed.insert(version.function.clone());
        }
        changed
    }

    /// Forgets an object. True when it was there.
    pub fn remove(&mut self, key: &Key) -> bool {
        match key {
            Key::Function(name) => self.functions.remove(name).is_some(),
            Key::Version(id) => self.versions.remove(id).is_some(),
            Key::Route(name) => self.routes.remove(name.as_str()).is_some(),
            Key::Release(name) => self.releases.remove(name).is_some(),
        }
    }

    /// The object of a key.
    pub fn get(&self, key: &Key) -> Option<Object> {
        match key {
            Key::Function(name) => {
                self.functions.get(name).map(|it| Object::Function(name.clone(), Arc::clone(it)))
            }
            Key::Version(id) => {
                self.versions.get(id).map(|it| Object::Version(*id, Arc::clone(it)))
            }
            Key::Route(name) => {
                self.routes.get(name.as_str()).map(|it| Object::Route(name.clone(), Arc::clone(it)))
            }
            Key::Release(name) => {
                self.releases.get(name).map(|it| Object::Release(name.clone(), Arc::clone(it)))
            }
        }
    }

    /// How many there are, of all kinds.
    pub fn len(&self) -> usize {
        self.functions.len() + self.versions.len() + self.routes.len() + self.releases.len()
    }

    /// Whether there is none of any kind.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, in an order in which none names another that comes later: functions, versions, routes, releases.
    pub fn iter(&self) -> impl Iterator<Item = Object> {
        let functions =
            self.functions.iter().map(|(name, it)| Object::Function(name.clone(), Arc::clone(it)));
        let versions = self.versions.iter().map(|(id, it)| Object::Version(*id, Arc::clone(it)));
        let routes =
            self.routes.iter().map(|(name, it)| Object::Route(name.to_string(), Arc::clone(it)));
        let releases =
            self.releases.iter().map(|(name, it)| Object::Release(name.clone(), Arc::clone(it)));
        functions.chain(versions).chain(routes).chain(releases)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str, json: &str) -> Result<Object, ObjectError> {
        Object::parse(Key::parse(key).unwrap(), json.as_bytes())
    }

    #[test]
    fn an_object_reads_back_as_what_it_was() {
        for (key, json) in [
            (
                "functions/local/a",
                r#"{"rate_per_second":3,"queue_depth":1000,"server_timing":false}"#,
            ),
            ("routes/a", r#"{"path":"/a","function":"local/a"}"#),
            ("releases/local/a", r#"{"stable":"0123456789abcdef"}"#),
        ] {
            let object = object(key, json).unwrap();
            assert_eq!(String::from_utf8(object.json()).unwrap(), json);
            assert_eq!(object.key().to_string(), key);
        }
    }

    #[test]
    fn what_is_wrong_with_a_value_is_said() {
        for (key, json, why) in [
            ("functions/local/a", "", "no JSON object"),
            ("functions/local/a", "{", "EOF"),
            ("functions/local/a", "\u{0}\u{1}", "no JSON object"),
            ("functions/local/a", r#"{"memry": 1}"#, "unknown field `memry`"),
            ("functions/local/a", "[]", "no JSON object"),
            (
                "functions/local/a",
                r#"{"degrade":[{"on":["any"],"function":"local/a"}]}"#,
                "degrade[0].function: is the function that fails",
            ),
            (
                "routes/a",
                r#"{"path":"a","function":"local/a"}"#,
                "path: \"a\" does not start with /",
            ),
            ("routes/a", r#"{"path":"/","function":"local/a"} x"#, "trailing"),
            ("versions/0123456789abcdef", "{}", "missing field"),
        ] {
            let error = object(key, json).unwrap_err().to_string();
            assert!(error.contains(why), "{json}: {error}");
        }
        let long = format!("{{{}}}", " ".repeat(OBJECT_BYTES));
        assert!(matches!(object("functions/local/a", &long), Err(ObjectError::TooLong(_))));
    }

    #[test]
    fn what_has_not_changed_stays_the_same_allocation() {
        let route = || object("routes/a", r#"{"path":"/a","function":"local/a"}"#).unwrap();
        let mut objects = Objects::default();
        assert!(objects.put(route()));
        let before = objects.clone();
        assert!(!objects.put(route()));
        assert!(Arc::ptr_eq(&objects.routes["a"], &before.routes["a"]));
        assert_eq!(objects.iter().collect::<Vec<_>>(), [route()]);
        assert_eq!(objects.get(&route().key()), Some(route()));
        assert!(objects.remove(&route().key()));
        assert!(!objects.remove(&route().key()));
        assert!(objects.is_empty() && before.len() == 1);
    }
}
