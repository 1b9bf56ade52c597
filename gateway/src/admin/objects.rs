//! The rules, read from where they are kept: object by object, kind by kind, or all at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use hatchway_proto::api::{Lane, Lanes, Listed, Rules};
use hatchway_proto::catalog::{Key, Objects};
use hatchway_wire::admin::{Reply, json};
use hatchway_wire::catalog::Store;
use http::{HeaderValue, header};
use imbl::OrdMap;

use super::GatewayApi;
use super::ask::Ask;
use super::refusal::Refusal;
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

pub(super) fn absent(key: &Key) -> Refusal {
    Refusal::not_found(format!("{key} is not there"))
}

pub(super) fn tag(reply: &mut Reply, revision: i64) {
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

#[cfg(test)]
mod tests {
    use super::*;

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
