//! What a request sees of the rules: everything compiled, nothing left to parse.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use foldhash::fast::FixedState;
use hatchway_proto::catalog::{Function, Objects, Route};
use hatchway_proto::name::{FunctionName, VersionId};
use imbl::shared_ptr::DefaultSharedPtr;
use imbl::{GenericHashMap, OrdMap, OrdSet};

use crate::admit::Rate;
use crate::degrade::Degrades;
use crate::metrics::{FunctionMetrics, VersionMetrics};
use crate::route::{Asked, Found, Releases, Table, lane};

/// Every function, by name. The names come from operators.
pub type Targets = GenericHashMap<FunctionName, Arc<Target>, FixedState, DefaultSharedPtr>;

/// The rules of one revision. Shares with the one before what did not change.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Requests to functions, by name.
    pub(super) table: Table<FunctionName>,
    /// Every function, by name.
    pub targets: Targets,
    /// The routes that serve, each in its last good form.
    pub routes: OrdMap<String, Arc<Route>>,
    /// The names of the routes that lead to a function.
    pub(super) routes_of: OrdMap<FunctionName, OrdSet<String>>,
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
            targets: Targets::default(),
            routes: OrdMap::new(),
            routes_of: OrdMap::new(),
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
    pub fn resolve<'p>(&self, asked: Asked<'p>) -> Option<Found<'_, 'p, Arc<Target>>> {
        let Found { target, route, filters, lane, accepts_lane, rest, tag } =
            self.table.resolve(asked)?;
        let target = self.targets.get(target)?;
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

    /// The routes that lead to a function.
    pub fn routes_of(&self, function: &FunctionName) -> impl Iterator<Item = &Arc<Route>> {
        let names = self.routes_of.get(function).into_iter().flatten();
        names.filter_map(|name| self.routes.get(name))
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
    /// Kept over changes of the rules.
    pub rate: Arc<Rate>,
    /// Kept over changes of the rules.
    pub metrics: Arc<FunctionMetrics>,
}

impl Target {
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
