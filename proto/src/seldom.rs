//! Parts that few objects have.

use std::fmt;
use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A part that few have, which costs the others a pointer: `T` itself where it differs from its default. A catalog holds a
/// hundred thousand routes, and nearly none of them has conditions.
#[derive(Clone)]
pub struct Seldom<T>(Option<Box<T>>);

/// A type whose default can be pointed to.
pub trait Blank: Default + PartialEq + 'static {
    /// Equal to the default.
    const BLANK: &'static Self;
}

impl<T: PartialEq + 'static> Blank for Vec<T> {
    const BLANK: &'static Self = &Vec::new();
}

impl<K: Ord + 'static, V: PartialEq + 'static> Blank for std::collections::BTreeMap<K, V> {
    const BLANK: &'static Self = &Self::new();
}

impl<T: PartialEq + 'static> Blank for Option<T> {
    const BLANK: &'static Self = &None;
}

impl<T: Blank> Seldom<T> {
    /// True when it is the default.
    pub fn is_blank(&self) -> bool {
        **self == *T::BLANK
    }
}

impl<T> Default for Seldom<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Blank> From<T> for Seldom<T> {
    fn from(part: T) -> Self {
        Self((part != *T::BLANK).then(|| Box::new(part)))
    }
}

impl<T: Blank> Deref for Seldom<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::BLANK)
    }
}

impl<T: Blank> DerefMut for Seldom<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}

impl<T: Blank> PartialEq for Seldom<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Blank + Eq> Eq for Seldom<T> {}

impl<T: Blank + fmt::Debug> fmt::Debug for Seldom<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<'a, T: Blank> IntoIterator for &'a Seldom<T>
where
    &'a T: IntoIterator,
{
    type Item = <&'a T as IntoIterator>::Item;
    type IntoIter = <&'a T as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        (**self).into_iter()
    }
}

impl<T: Blank + Serialize> Serialize for Seldom<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl<'de, T: Blank + Deserialize<'de>> Deserialize<'de> for Seldom<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::from)
    }
}

impl<T: schemars::JsonSchema> schemars::JsonSchema for Seldom<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> std::borrow::Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        T::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_as_by_default_is_a_pointer_and_is_written_as_what_it_is() {
        type Part = Seldom<Vec<u8>>;
        assert_eq!(size_of::<Part>(), size_of::<usize>());
        let mut part: Part = serde_json::from_str("[]").unwrap();
        assert!(part.is_blank() && part.0.is_none() && part == Part::default());
        part.push(7);
        assert_eq!((part.len(), serde_json::to_string(&part).unwrap().as_str()), (1, "[7]"));
        part.clear();
        assert!(part.is_blank() && part == Part::default(), "and not because of its pointer");
    }
}
