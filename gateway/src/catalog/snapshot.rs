//! What a request sees of the rules: everything compiled, nothing left to parse.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hatchway_proto::catalog::{Function, Objects, Route};
use hatchway_proto::name::{FunctionName, VersionId};
use hatchway_wire::trie::{Keyed, Trie};
use imbl::{OrdMap, OrdSet};

use crate::admit::{Line, Rate};
use crate::answer::CallError;
use crate::metrics::{FunctionMetrics, VersionMetrics};
use crate::route::{Asked, Found, Releases, Table, lane};

use super::degrades::Degrades;
use super::leading::Leading;

/// The rules of one revision. Shares with the one before what did not change.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Requests to functions, by name.
    pub(super) table: Table,
    /// Every function.
    pub targets: Trie<Arc<Target>>,
    /// The limits of functions that have one.
    pub limited: OrdMap<FunctionName, Arc<Rate>>,
    /// Functions that grow over all nodes.
    pub growing: OrdSet<FunctionName>,
    /// Routes that are wrong as they are now: their last good form serves, where there is one.
    pub(super) kept: OrdMap<Arc<str>, Option<Arc<Route>>>,
    /// Which routes lead to a function.
    pub(super) leading: Leading,
    /// How many routes and releases know of lanes: without any, nobody looks for them.
    pub(super) lanes: usize,
    /// What this was made of.
    pub objects: Arc<Objects>,
    /// Grows with every change; 0 before the first.
    pub revision: u64,
    /// When it was applied.
    pub applied: SystemTime,
    /// Objects that were refused, by kind and name, each with its reason.
    pub problems: OrdMap<String, String>,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            table: Table::default(),
            targets: Trie::default(),
            limited: OrdMap::new(),
            growing: OrdSet::new(),
            kept: OrdMap::new(),
            leading: Leading::default(),
            lanes: 0,
            objects: Arc::default(),
            revision: 0,
            applied: SystemTime::now(),
            problems: OrdMap::new(),
        }
    }
}

impl Snapshot {
    /// The function that a request leads to, and by which route.
    pub fn resolve<'s, 'p>(&'s self, asked: Asked<'p>) -> Option<Found<'s, 'p, &'s Arc<Target>>> {
        let Found { target: (at_hand, name), route, filters, lane, accepts_lane, rest, tag } =
            self.table.resolve(asked)?;
        let target = at_hand.or_else(|| self.targets.get(name))?;
        Some(Found { target, route, filters, lane, accepts_lane, rest, tag })
    }

    /// The lane of a request that took a route, before its release is looked at, and whether there are lanes at all.
    /// `is_trusted`: what its sender says is believed.
    pub fn lane<'a, T>(
        &self,
        asked: Asked<'a>,
        found: &Found<'a, '_, T>,
        is_trusted: impl FnOnce() -> bool,
    ) -> Option<Option<&'a str>> {
        if self.lanes == 0 {
            return None;
        }
        let is_believed = found.accepts_lane || is_trusted();
        let said = if is_believed { lane::said(asked.head) } else { None };
        // A name that is none of ours would be written into another request.
        let said = said.filter(|said| hatchway_proto::catalog::check::is_label(said));
        Some(said.or(found.lane))
    }

    /// A route as it serves: in its last good form.
    pub fn route(&self, name: &str) -> Option<&Arc<Route>> {
        served(&self.kept, &self.objects, name)
    }

    /// The routes that serve, by name.
    pub fn routes(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<Route>)> {
        self.objects.routes.keys().filter_map(|name| Some((name, self.route(name)?)))
    }

    /// The routes that lead to a function.
    pub fn routes_of(&self, function: &FunctionName) -> impl Iterator<Item = &Arc<Route>> {
        self.leading.names(function).filter_map(|name| self.route(name))
    }
}

/// A route in its last good form.
pub(super) fn served<'s>(
    kept: &'s OrdMap<Arc<str>, Option<Arc<Route>>>,
    objects: &'s Objects,
    name: &str,
) -> Option<&'s Arc<Route>> {
    match kept.get(name) {
        Some(kept) => kept.as_ref(),
        None => objects.routes.get(name),
    }
}

/// A function with what a request of it needs.
#[derive(Debug)]
pub struct Target {
    /// Its name.
    pub name: FunctionName,
    /// Its settings.
    pub function: Arc<Function>,
    /// Who answers; none when it has no release yet.
    pub releases: Option<Releases>,
    /// What takes the place of its failures.
    pub degrade: Degrades,
    /// None where all may pass. Kept over changes of the rules.
    pub rate: Option<Arc<Rate>>,
    /// None where any number may be in flight. Kept over changes of the rules.
    pub line: Option<Arc<Line>>,
    /// Kept over changes of the rules.
    pub metrics: Arc<FunctionMetrics>,
}

impl Keyed for Target {
    type Key = FunctionName;

    fn key(&self) -> &FunctionName {
        &self.name
    }
}

impl Target {
    /// Without a release, and with settings as they are by default.
    #[cfg(test)]
    pub(crate) fn bare(name: FunctionName) -> Self {
        let function = Arc::new(serde_json::from_str("{}").expect("everything has a default"));
        let (releases, degrade, rate, line) = (None, Degrades::default(), None, None);
        Self { name, function, releases, degrade, rate, line, metrics: Arc::default() }
    }

    /// Lets one request pass.
    ///
    /// # Errors
    /// [`CallError::RateLimited`] with the time until the next one passes.
    pub fn enter(&self) -> Result<(), CallError> {
        self.rate.as_ref().map_or(Ok(()), |rate| rate.enter())
    }

    /// True when its release has versions for lanes, or puts requests into one.
    pub(super) fn knows_lanes(&self) -> bool {
        self.releases.as_ref().is_some_and(Releases::knows_lanes)
    }
}

/// A version that answers.
#[derive(Clone, Debug)]
pub struct ReleaseTarget {
    /// Whose it is.
    pub function: FunctionName,
    /// Which build.
    pub version: VersionId,
    /// Its run clock, for the deadline that the function is told.
    pub run_clock: Duration,
    /// Files of its own may answer.
    pub has_assets: bool,
    /// What it does, counted where the function has several.
    pub tally: Option<Arc<VersionMetrics>>,
}
