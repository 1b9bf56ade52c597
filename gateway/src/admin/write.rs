//! One object is written, by those who have seen what they replace.

use std::sync::Arc;

use hatchway_proto::catalog::{Key, Object};
use hatchway_wire::admin::{Reply, json};
use hatchway_wire::catalog::Store;
use hatchway_wire::catalog::store::Change;
use http::{StatusCode, header};
use serde_json::Value;

use super::GatewayApi;
use super::ask::Ask;
use super::change::carry_out;
use super::objects::{absent, tag};
use super::refusal::{Refusal, no_object};

/// Writes one object, whole.
pub(super) async fn put(api: Arc<GatewayApi>, mut ask: Ask) -> Result<Reply, Refusal> {
    let key = ask.key()?;
    let body = ask.body().await?;
    let object =
        Object::parse(key.clone(), &body).map_err(|error| no_object(&key.to_string(), error))?;
    let store = api.store().await?;
    has_seen(&ask, &store, &key, Unseen::IsRefused)?;
    let why = format!("PUT {key}");
    write_one(store, Change::Put(object), &ask, &why).await
}

/// Changes some fields of a release (JSON Merge Patch, RFC 7396).
pub(super) async fn patch(api: Arc<GatewayApi>, mut ask: Ask) -> Result<Reply, Refusal> {
    let key = ask.key()?;
    let patch: Value = ask.json().await?;
    if !patch.is_object() {
        let why = "a patch is an object with the fields that change; null takes one away";
        return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, why));
    }
    let store = api.store().await?;
    let Some(before) = store.objects().get(&key) else { return Err(absent(&key)) };
    // Whoever says only what changes takes the rest as it is now.
    has_seen(&ask, &store, &key, Unseen::IsFine)?;
    let mut value = serde_json::from_slice(&before.json()).expect("an object is JSON");
    merge(&mut value, patch);
    let text = serde_json::to_vec(&value).expect("JSON is JSON");
    let object =
        Object::parse(key.clone(), &text).map_err(|error| no_object(&key.to_string(), error))?;
    let why = format!("PATCH {key}");
    write_one(store, Change::Put(object), &ask, &why).await
}

fn merge(target: &mut Value, patch: Value) {
    let Value::Object(fields) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(target) = target else { return };
    for (name, value) in fields {
        if value.is_null() {
            target.remove(&name);
        } else {
            merge(target.entry(name).or_insert(Value::Null), value);
        }
    }
}

/// Takes one object away.
pub(super) async fn delete(api: Arc<GatewayApi>, ask: Ask) -> Result<Reply, Refusal> {
    let (key, store) = (ask.key()?, api.store().await?);
    if store.objects().get(&key).is_none() {
        return Err(absent(&key));
    }
    has_seen(&ask, &store, &key, Unseen::IsRefused)?;
    let why = format!("DELETE {key}");
    write_one(store, Change::Delete(key), &ask, &why).await
}

/// What becomes of a write by somebody who has not said what it replaces.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unseen {
    IsFine,
    IsRefused,
}

/// Whether the caller has seen what stands there now (RFC 9110 sections 13.1.1 and 13.1.2).
fn has_seen(ask: &Ask, store: &Store, key: &Key, unseen: Unseen) -> Result<(), Refusal> {
    let is_there = store.objects().get(key).is_some();
    let now = store.revision_of(key);
    let said = |name| ask.headers().get(name).and_then(|tag| tag.to_str().ok());
    let failed = |why: String| Err(Refusal::new(StatusCode::PRECONDITION_FAILED, why));
    match (said(header::IF_MATCH), said(header::IF_NONE_MATCH)) {
        (Some("*"), _) if !is_there => failed(format!("{key} is not there")),
        (Some("*"), _) => Ok(()),
        (Some(tag), _) if is_there && tag.trim() == format!("\"{now}\"") => Ok(()),
        (Some(tag), _) => failed(match is_there {
            true => format!(
                "{key} was changed meanwhile: it is at revision {now}, you have seen {tag}; read it again"
            ),
            false => format!("{key} is not there, you have seen {tag}"),
        }),
        (None, Some("*")) if is_there => {
            failed(format!("{key} is there already, at revision {now}"))
        }
        (None, Some("*")) => Ok(()),
        (None, Some(_)) => {
            Err(Refusal::bad("If-None-Match is * here: write what is not there yet"))
        }
        (None, None) if is_there && unseen == Unseen::IsRefused => Err(Refusal::new(
            StatusCode::PRECONDITION_REQUIRED,
            format!(
                "{key} is there: say which form of it you have seen, as If-Match: \"{now}\", so that no change of \
                 others is lost; If-Match: * overwrites whatever it is"
            ),
        )),
        (None, None) => Ok(()),
    }
}

async fn write_one(store: Store, change: Change, ask: &Ask, why: &str) -> Result<Reply, Refusal> {
    let before = store.revision_of(&change.key());
    let is_put = matches!(change, Change::Put(_));
    let changed = carry_out(store, vec![change], ask, why).await?;
    let mut reply = json(&changed);
    if is_put {
        tag(&mut reply, if changed.written > 0 { changed.revision } else { before });
    }
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The examples of RFC 7396, appendix A.
    #[test]
    fn a_patch_says_only_what_changes() {
        for (mut target, patch, expected) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            merge(&mut target, patch);
            assert_eq!(target, expected);
        }
    }
}
