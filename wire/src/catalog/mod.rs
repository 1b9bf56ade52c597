//! Where rules come from. Gateways and nodes read the same objects, from a file or from etcd, and neither is on the
//! way of a request: what is known is handed on after every change, and goes on being served when nothing comes.
//!
//! Reading order: [`Source`] is what both are; [`mirror`] decides what a source's keys and values mean (what is
//! quarantined, what is stale, what is suspicious), without a clock or a socket; [`mod@file`] and [`etcd`] bring keys and
//! values; [`disk`] keeps what was applied for a start without etcd; [`intake`] is all of it as a program uses it,
//! and [`reporter`] says how it is doing ([`status`]). [`store`] is for those who change them.

pub mod backoff;
pub mod disk;
pub mod etcd;
pub mod file;
pub mod intake;
mod mirror;
mod reporter;
pub mod status;
pub mod store;

use std::future::Future;
use std::sync::Arc;

use hatchway_proto::catalog::{Nodes, Objects};

pub use intake::{Intake, Refused, SourceArgs};
pub use reporter::{Shown, StatusReader};
pub use status::{Link, Status};
pub use store::Store;

/// What a source knows at one moment.
#[derive(Clone, Debug)]
pub struct Found {
    /// Every good object. The same allocation as before when only the status has changed; objects that have not
    /// changed are the same allocations in any case.
    pub objects: Arc<Objects>,
    /// Those that the source has for everybody: without what is on trial here.
    pub kept: Arc<Objects>,
    /// Every node that is registered; none where the source is a file. The same allocation as before where nothing has changed.
    pub nodes: Arc<Nodes>,
    /// How the source is doing.
    pub status: Status,
}

/// Where rules come from.
pub trait Source {
    /// What is known before anything has been waited for.
    fn first(&self) -> Found;

    /// Tells of every change, for as long as it is polled. Dropping it stops it, at any point, without loss.
    fn follow(self, tell: impl FnMut(Found)) -> impl Future<Output = ()>;
}
