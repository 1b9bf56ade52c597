//! The rules, object by object or many at once: read from the source, and written to it by those who have seen what they
//! replace.

use std::collections::BTreeMap;
use std::sync::Arc;

use hatchway_proto::api::{Changed, Changes, Lane, Lanes, Listed, ObjectChange, Rules};
use hatchway_proto::catalog::{Key, Object, Objects};
use hatchway_wire::admin::{Reply, json};
use hatchway_wire::catalog::Store;
use hatchway_wire::catalog::store::{Change, check};
use http::{HeaderValue, StatusCode, header};
use imbl::OrdMap;
use serde_json::Value;

use super::GatewayApi;
use super::ask::Ask;
use super::refusal::{Refusal, no_object};
use crate::catalog::Snapshot;

/// Objects of one answer, unless the caller says how many.
const LISTED: u64 = 1000;

/// The rules at one moment.
pub(super) enum Held {
    /// As the source has them.
    Source(Store),
    /// As they are served: their source is a project, which has no revisions.
    Served(Arc<Snapshot>),
}

impl Held {
    fn objects(&self) -> &Objects {
        match self {
            Self::Source(store) => store.objects(),
            Self::Served(snapshot) => &snapshot.objects,
        }
    }

    fn revision(&self) -> i64 {
        match self {
            Self::Source(store) => store.revision(),
            Self::Served(snapshot) => i64::try_from(snapshot.revision).unwrap_or(i64::MAX),
        }
    }

    fn revision_of(&self, key: &Key) -> i64 {
        match self {
            Self::Source(store) => store.revision_of(key),
            Self::Served(_) => self.revision(),
        }
    }
}

impl GatewayApi {
    /// The rules where they are kept.
    pub(super) async fn store(&self) -> Result<Store, Refusal> {
        match &self.rules {
            Some(source) => Ok(Store::open(source).await?),
            None => Err(Refusal::conflict(
                "the rules here are made of projects on this machine, which are followed: change their hatchway.toml",
            )),
        }
    }

    async fn held(&self) -> Result<Held, Refusal> {
        match &self.rules {
            Some(_) => Ok(Held::Source(self.store().await?)),
            None => Ok(Held::Served(self.catalog.snapshot())),
        }
    }
}

/// Everything.
pub(super) async fn all(api: Arc<GatewayApi>, _: Ask) -> Result<Reply, Refusal> {
    let held = api.held().await?;
    Ok(json(&Rules { revision: held.revision(), objects: held.objects().clone() }))
}

/// All of one kind, which is the last part of the path.
pub(super) async fn list(api: Arc<GatewayApi>, ask: Ask) -> Result<Reply, Refusal> {
    let held = api.held().await?;
    let (objects, revision) = (held.objects(), held.revision());
    let after = ask.text("after");
    let limit = usize::try_from(ask.number("limit").unwrap_or(LISTED)).unwrap_or(usize::MAX);
    let after = after.as_deref();
    Ok(match ask.call.head.uri.path() {
        "/v1/functions" => json(&page(&objects.functions, revision, after, limit)),
        "/v1/versions" => json(&page(&objects.versions, revision, after, limit)),
        "/v1/routes" => json(&page(&objects.routes, revision, after, limit)),
        _ => json(&page(&objects.releases, revision, after, limit)),
    })
}

fn page<K: Ord + Clone + ToString, V: Clone>(
    all: &OrdMap<K, Arc<V>>,
    revision: i64,
    after: Option<&str>,
    limit: usize,
) -> Listed<Arc<V>> {
    let named = all.iter().map(|(name, object)| (name.to_string(), Arc::clone(object)));
    let mut left = named.skip_while(|(name, _)| after.is_some_and(|after| name.as_str() <= after));
    let objects: BTreeMap<String, Arc<V>> = left.by_ref().take(limit).collect();
    let is_more = left.next().is_some();
    let next = objects.keys().next_back().filter(|_| is_more).cloned();
    Listed { revision, objects, next }
}

/// One object, with its revision.
pub(super) async fn get(api: Arc<GatewayApi>, ask: Ask) -> Result<Reply, Refusal> {
    let (key, held) = (ask.key()?, api.held().await?);
    let Some(object) = held.objects().get(&key) else { return Err(absent(&key)) };
    let mut reply = hatchway_wire::admin::whole("application/json", object.json());
    tag(&mut reply, held.revision_of(&key));
    Ok(reply)
}

fn absent(key: &Key) -> Refusal {
    Refusal::not_found(format!("{key} is not there"))
}

fn tag(reply: &mut Reply, revision: i64) {
    let tag = HeaderValue::from_str(&format!("\"{revision}\"")).expect("digits in quotes");
    reply.headers_mut().insert(header::ETAG, tag);
}

/// Lanes, as routes, rules and releases name them.
pub(super) async fn lanes(api: Arc<GatewayApi>, _: Ask) -> Result<Reply, Refusal> {
    let held = api.held().await?;
    let mut lanes: BTreeMap<String, Lane> = BTreeMap::new();
    for (name, route) in &held.objects().routes {
        if let Some(lane) = &route.lane {
            lanes.entry(lane.to_string()).or_default().routes.push(name.to_string());
        }
    }
    for (name, release) in &held.objects().releases {
        for (lane, version) in &release.lanes {
            lanes.entry(lane.clone()).or_default().versions.insert(name.clone(), *version);
        }
        for lane in release.rules.iter().filter_map(|rule| rule.lane.as_ref()) {
            let releases = &mut lanes.entry(lane.clone()).or_default().releases;
            if releases.last() != Some(name) {
                releases.push(name.clone());
            }
        }
    }
    Ok(json(&Lanes { lanes }))
}

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

/// Writes many objects together.
pub(super) async fn change(api: Arc<GatewayApi>, mut ask: Ask) -> Result<Reply, Refusal> {
    let Changes { changes, at } = ask.json().await?;
    let changes = parsed(changes)?;
    let store = api.store().await?;
    if at > store.revision() {
        let newest = store.revision();
        return Err(Refusal::bad(format!("there is no revision {at} yet: the newest is {newest}")));
    }
    if let Some(stale) = overtaken(&store, &changes, at).await? {
        return Err(Refusal::conflict(stale));
    }
    Ok(json(&carry_out(store, changes, &ask, "a change through the API").await?))
}

/// Who has touched one of these objects after `at`, where somebody has. Of one that is gone, the history alone tells when.
async fn overtaken(store: &Store, changes: &[Change], at: i64) -> Result<Option<String>, Refusal> {
    let keys = || changes.iter().map(Change::key);
    let is_gone = |key: &Key| store.objects().get(key).is_none();
    if keys().all(|key| !is_gone(&key) && store.revision_of(&key) <= at) {
        return Ok(None);
    }
    let known = store.timeline().await?;
    for key in keys() {
        let name = key.to_string();
        let newer = known.entries().iter().rev().take_while(|entry| entry.revision > at);
        let mut of_key = newer.filter(|it| it.record.touched.iter().any(|it| it.key == name));
        let by = match of_key.next() {
            Some(entry) => format!("by {} ({})", entry.record.who, entry.record.why),
            None if store.revision_of(&key) > at => "by somebody who left no record".to_owned(),
            None => continue,
        };
        return Ok(Some(format!(
            "{key} was changed meanwhile {by}\nnothing was written: look at it and try again"
        )));
    }
    Ok(None)
}

/// Each of them an object that is good by itself.
pub(super) fn parsed(changes: Vec<ObjectChange>) -> Result<Vec<Change>, Refusal> {
    changes.into_iter().enumerate().map(|(n, one)| read(n, one)).collect()
}

fn read(n: usize, one: ObjectChange) -> Result<Change, Refusal> {
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    let key = Key::parse(&one.key).map_err(|error| {
        Refusal::new(unprocessable, format!("changes[{n}].key: {:?}: {error}", one.key))
    })?;
    match one.object {
        None => Ok(Change::Delete(key)),
        Some(value) => {
            let text = serde_json::to_vec(&value).expect("JSON is JSON");
            let object = Object::parse(key, &text);
            object.map(Change::Put).map_err(|error| no_object(&one.key, error))
        }
    }
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

/// The one way from the API to the source: nothing is broken by it, and versions stay what they are.
pub(super) async fn carry_out(
    store: Store,
    changes: Vec<Change>,
    ask: &Ask,
    why: &str,
) -> Result<Changed, Refusal> {
    for change in &changes {
        if let Change::Put(object @ Object::Version(id, _)) = change
            && store.objects().get(&change.key()).is_some_and(|there| there != *object)
        {
            return Err(Refusal::conflict(format!(
                "versions/{id} is there, and a version never changes: make another one"
            )));
        }
    }
    let broken = check::broken(store.objects(), &changes);
    if !broken.is_empty() {
        return Err(Refusal::mistakes(StatusCode::CONFLICT, broken));
    }
    let objects = changes.iter().map(|change| change.key().to_string()).collect();
    let done = store.carry_out(changes, &ask.terms(why)).await?;
    if done.changes > 0 {
        tracing::info!(
            revision = done.revision,
            changes = done.changes,
            "the rules were changed here"
        );
    }
    Ok(Changed {
        written: done.changes,
        revision: done.revision,
        gateways: done.gateways,
        objects,
        notes: done.notes,
    })
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

    #[test]
    fn a_list_goes_on_where_it_has_ended() {
        let all: OrdMap<String, Arc<u8>> =
            (0..5_u8).map(|n| (format!("r{n}"), Arc::new(n))).collect();
        let (mut after, mut seen) = (None::<String>, Vec::new());
        loop {
            let Listed { objects, next, revision } = page(&all, 7, after.as_deref(), 2);
            assert_eq!(revision, 7);
            seen.push(objects.into_keys().collect::<Vec<_>>().join(" "));
            let Some(next) = next else { break };
            after = Some(next);
        }
        assert_eq!(seen, ["r0 r1", "r2 r3", "r4"]);
    }
}
