//! Many objects are changed together, and the one way from the API to where they are kept.

use std::sync::Arc;

use hatchway_proto::api::{Changed, Changes, ObjectChange};
use hatchway_proto::catalog::{Key, Object};
use hatchway_wire::admin::{Reply, json};
use hatchway_wire::catalog::Store;
use hatchway_wire::catalog::store::{Change, check};
use http::StatusCode;

use super::GatewayApi;
use super::ask::Ask;
use super::refusal::{Refusal, no_object};

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
