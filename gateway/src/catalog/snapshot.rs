//! What a request sees of the rules: everything resolved, nothing left to look up by name.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hatchway_proto::catalog::{Function, Objects};
use hatchway_proto::name::{FunctionName, VersionId};

use crate::admit::Rate;
use crate::metrics::FunctionMetrics;
use crate::route::Table;

/// The rules of one revision.
#[derive(Debug)]
pub struct Snapshot {
    /// Host and path to function.
    pub routes: Table<Arc<Target>>,
    /// Every function, by name.
    pub targets: HashMap<FunctionName, Arc<Target>>,
    /// What this was made of.
    pub objects: Arc<Objects>,
    /// Grows with every change; 0 before the first.
    pub revision: u64,
    /// When it was applied.
    pub applied: SystemTime,
    /// Objects that were refused, each with its reason.
    pub problems: Vec<String>,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            routes: Table::default(),
            targets: HashMap::new(),
            objects: Arc::default(),
            revision: 0,
            applied: SystemTime::now(),
            problems: Vec::new(),
        }
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
    pub release: Option<ReleaseTarget>,
    /// Kept over changes of the rules.
    pub rate: Arc<Rate>,
    /// Kept over changes of the rules.
    pub metrics: Arc<FunctionMetrics>,
}

/// The version that answers.
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
}
