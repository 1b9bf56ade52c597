//! What was changed before, and how to have it again.

use std::sync::Arc;

use hatchway_proto::api::{Diff, Rollback};
use hatchway_proto::catalog::Key;
use hatchway_wire::admin::{Reply, json};
use hatchway_wire::catalog::store::check;

use super::GatewayApi;
use super::ask::Ask;
use super::change::carry_out;
use super::refusal::Refusal;

/// Changes of one answer, unless the caller says how many.
const TOLD: u64 = 20;

/// Who changed what, and why.
pub(super) async fn history(api: Arc<GatewayApi>, ask: Ask) -> Result<Reply, Refusal> {
    let only = ask.text("object").map(|text| key(&text)).transpose()?.map(|key| key.to_string());
    let limit = usize::try_from(ask.number("limit").unwrap_or(TOLD)).unwrap_or(usize::MAX);
    let known = api.store().await?.timeline().await?;
    Ok(json(&known.told(only.as_deref(), limit)))
}

/// What differs between two revisions.
pub(super) async fn diff(api: Arc<GatewayApi>, ask: Ask) -> Result<Reply, Refusal> {
    let known = api.store().await?.timeline().await?;
    let from = ask.revision("from").unwrap_or_default();
    let to = ask.revision("to").unwrap_or_else(|| known.newest());
    let objects = known.between(from, to).map_err(|error| Refusal::not_found(error.to_string()))?;
    Ok(json(&Diff { objects }))
}

/// What was, again: a change like any other.
pub(super) async fn rollback(api: Arc<GatewayApi>, mut ask: Ask) -> Result<Reply, Refusal> {
    let Rollback { revision, object } = ask.json().await?;
    let only = object.map(|text| key(&text)).transpose()?;
    let store = api.store().await?;
    let known = store.timeline().await?;
    let changes = check::back_to(&known, revision, only.as_ref()).map_err(Refusal::conflict)?;
    let why = format!("rollback to {revision}");
    Ok(json(&carry_out(store, changes, &ask, &why).await?))
}

fn key(text: &str) -> Result<Key, Refusal> {
    Key::parse(text).map_err(|error| Refusal::bad(format!("{text:?}: {error}")))
}
