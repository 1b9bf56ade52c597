//! Functions, versions, routes and releases as a catalog keeps them: the objects that operators push
//! and that gateways and nodes read. Stored as JSON; unknown fields are refused.
//!
//! [`route`] leads a request to a function, [`release`] from there to a [`version`]; [`condition`] is what both
//! may ask of a request, an [`expression`] among it, and [`filters`] what both may do with it, [`check`] what is wrong with one of them. [`keys`] says
//! where each stands in etcd, and an [`Object`] is one of them with its key. [`Growth`] is how many sandboxes a
//! function has. [`history`] is who changed what, and how it was
//! before; [`Applied`] how far a follower has come, a [`Registration`] what a node says of itself, and a
//! [`Candidate`] a change that one follower tries before the others.

mod applied;
pub mod check;
mod condition;
mod degrade;
mod difference;
mod egress;
mod expression;
mod filters;
mod function;
mod gather;
mod growth;
pub mod history;
pub mod keys;
mod mirror;
mod object;
mod registration;
mod release;
mod route;
mod trial;
mod version;
mod warmup;

use std::sync::Arc;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use crate::name::{FunctionName, VersionId};

pub use applied::Applied;
pub use condition::{Conditions, FieldMatch};
pub use degrade::{DEGRADE_BODY_BYTES, Degrade, StaticAnswer};
pub use difference::{Difference, differences};
pub use egress::{Destination, Egress, Host};
pub use expression::{EXPRESSION_BYTES, Number, Order, Relation, Test, Text};
pub use filters::{
    Filters, HeaderField, HeaderModifier, PathModifier, RequestRedirect, Scheme, UrlRewrite,
};
pub use function::{DEFAULT_QUEUE_DEPTH, Function};
pub use growth::{Growth, Timed};
pub use keys::{Key, Keys};
pub use mirror::{MIRROR_BODY_BYTES, Mirror};
pub use object::{OBJECT_BYTES, Object, ObjectError};
pub use registration::{Nodes, Registration};
pub use release::{BASIS_POINTS, Release, Rule, Share, Sticky};
pub use route::{PathMatch, Route};
pub use trial::{Candidate, Requests, Trial};
pub use version::{Clocks, Network, Package, Protocol, Resources, Runtime, Version};
pub use warmup::Warmup;

/// Everything one source knows at one moment. A clone shares everything with the original, and two that
/// share are compared in the time that their difference takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Objects {
    /// What users call, by name.
    #[schemars(with = "std::collections::BTreeMap<FunctionName, Arc<Function>>")]
    pub functions: OrdMap<FunctionName, Arc<Function>>,
    /// Builds of them, by id.
    #[schemars(with = "std::collections::BTreeMap<VersionId, Arc<Version>>")]
    pub versions: OrdMap<VersionId, Arc<Version>>,
    /// Hosts and paths that lead to functions, by route name.
    #[schemars(with = "std::collections::BTreeMap<String, Arc<Route>>")]
    pub routes: OrdMap<Arc<str>, Arc<Route>>,
    /// Which version of a function answers.
    #[schemars(with = "std::collections::BTreeMap<FunctionName, Arc<Release>>")]
    pub releases: OrdMap<FunctionName, Arc<Release>>,
}
