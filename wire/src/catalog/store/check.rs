//! Whether changes leave the rules whole: nothing leads to what is not there. And what was, as changes.

use hatchway_proto::catalog::check::Mistake;
use hatchway_proto::catalog::history::Timeline;
use hatchway_proto::catalog::{Key, Object, Objects};

use super::Change;

/// The rules after `changes`.
pub fn after(now: &Objects, changes: &[Change]) -> Objects {
    let mut after = now.clone();
    for change in changes {
        match change {
            Change::Put(object) => _ = after.put(object.clone()),
            Change::Delete(key) => _ = after.remove(key),
        }
    }
    after
}

/// What `changes` would break of the rules that are there; each mistake's field is a key.
pub fn broken(now: &Objects, changes: &[Change]) -> Vec<Mistake> {
    let after = after(now, changes);
    let mut found = Vec::new();
    let mut deleted = Vec::new();
    for change in changes {
        match change {
            Change::Put(object) => {
                let missing = object.names().into_iter().filter(|key| after.get(key).is_none());
                found.extend(missing.map(|key| Mistake {
                    field: object.key().to_string(),
                    message: format!("would lead to {key}, which is not there"),
                }));
            }
            Change::Delete(key) if after.get(key).is_none() && now.get(key).is_some() => {
                deleted.push(key);
            }
            Change::Delete(_) => {}
        }
    }
    if !deleted.is_empty() {
        for object in after.iter() {
            let named = object.names();
            found.extend(deleted.iter().filter(|key| named.contains(key)).map(|key| Mistake {
                field: key.to_string(),
                message: format!("{} leads there: delete that first, or with it", object.key()),
            }));
        }
    }
    found
}

/// What has to be written so that everything, or one object, is what it was at a revision: in an order in which nothing is
/// named before it is there.
///
/// # Errors
/// Why that is not known, or cannot be.
pub fn back_to(known: &Timeline, revision: i64, only: Option<&Key>) -> Result<Vec<Change>, String> {
    let (mut puts, mut deletes) = (Objects::default(), Vec::new());
    for name in known.touched_since(revision) {
        let key = Key::parse(name).map_err(|error| format!("{name}: {error}"))?;
        if only.is_some_and(|only| *only != key) {
            continue;
        }
        let was = known.value_at(name, revision).map_err(|error| error.to_string())?;
        let now = known.now().get(name).map(|value| &*value.text);
        match was {
            same if same == now => {}
            None => deletes.push(Change::Delete(key)),
            Some(text) => {
                let object = Object::parse(key, text.as_bytes());
                let object = object
                    .map_err(|error| format!("{name} was no good object at {revision}: {error}"))?;
                puts.put(object);
            }
        }
    }
    // Functions come before what names them, also in the order of their keys: what goes, goes the other way.
    deletes.sort_by_key(|change| std::cmp::Reverse(change.key()));
    Ok(puts.iter().map(Change::Put).chain(deletes).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str, json: &str) -> Object {
        Object::parse(Key::parse(key).unwrap(), json.as_bytes()).unwrap()
    }

    fn said(now: &Objects, changes: &[Change]) -> Vec<String> {
        broken(now, changes).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn nothing_may_lead_to_what_is_not_there() {
        let function = object("functions/local/a", "{}");
        let route = object("routes/r", r#"{"path": "/", "function": "local/a"}"#);
        let mut now = Objects::default();
        let missing = ["routes/r: would lead to functions/local/a, which is not there"];
        assert_eq!(said(&now, &[Change::Put(route.clone())]), missing);
        let both = [Change::Put(function.clone()), Change::Put(route.clone())];
        assert_eq!(said(&now, &both), Vec::<String>::new());
        now.put(function.clone());
        now.put(route.clone());
        let gone = Change::Delete(function.key());
        let held = ["functions/local/a: routes/r leads there: delete that first, or with it"];
        assert_eq!(said(&now, std::slice::from_ref(&gone)), held);
        assert_eq!(said(&now, &[Change::Delete(route.key()), gone]), Vec::<String>::new());
    }
}
