//! Level one: which node serves a request.
//!
//! Reading order, as a request goes: [`handle`] (a whole request on one screen), [`accept`] (1: sockets
//! and limits), [`trigger`] (2: a protocol's head becomes an invocation), [`route`] (3: host and path to a
//! function and its version), [`admit`] (4: limits), [`place`] (5: which node), [`forward`] (6: to the
//! node), [`answer`] (11: a failure becomes a status) and [`degrade`] (what takes its place). [`mirror`] copies requests. [`overload`] is what one core takes on,
//! [`access`] the log of what it has served, and [`trace`] the spans of some of it. [`rehearse`] says what other rules would do to the requests of now. [`catalog`] brings the rules in, [`registry`] the nodes, [`rollout`] moves
//! them from one version to the next, and [`growth`] says how many sandboxes are kept ready where.

pub mod accept;
pub mod access;
pub mod admin;
pub mod admit;
pub mod answer;
pub mod catalog;
pub mod config;
pub mod degrade;
pub mod explain;
pub mod forward;
pub mod growth;
pub mod handle;
pub mod metrics;
pub mod mirror;
mod overload;
pub mod place;
mod rare;
pub mod registry;
pub mod rehearse;
pub mod rollout;
pub mod route;
pub mod spread;
pub mod trace;
pub mod trigger;
