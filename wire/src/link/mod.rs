//! The link between a gateway and a node, over a socket: one connection that carries many calls. What is said on it
//! is specified in [`hatchway_proto::link`].
//!
//! To whoever relays, a call is a [`Stream`](crate::Stream) like any other: bytes of HTTP/1.1 in and out. So the
//! relay, the tunnel and the clocks are those of every other hop, and what is particular to the link is here.
//!
//! Everything belongs to one core. Calls put frames into one buffer and wake the [`driver`], the task that owns the
//! socket; it runs behind all calls that are ready, so that one write carries what all of them have said. It reads
//! once for all of them as well, and hands each its bytes, bounded by the credit that the call was given. What is long is
//! not copied: it is written from where a function or a client has left it, and read from the [`block`] that the driver read into.
//!
//! Reading order: [`secure`] (who may be at the other end), [`settings`] (limits and clocks), [`shared`] (what calls and driver share), [`cell`] (one call
//! in it), [`call`] (its end as a stream), [`driver`] (the socket), then the two halves: [`client`] with [`offer`],
//! what a gateway can take back, and [`server`] with its [`workers`],
//! whose links [`spread`] lays over the cores. [`load`] is what nodes say of themselves.

mod block;
pub mod call;
mod cell;
pub mod client;
mod driver;
mod load;
pub mod offer;
mod out;
pub mod secure;
pub mod server;
pub mod settings;
mod shared;
pub mod spread;
mod workers;

pub use call::{Broken, Call, Handle};
pub use client::Link;
pub use load::NodeLoad;
pub use offer::{Again, Placer, TRIES, Tries, Why};
pub use secure::{Insecure, LinkTlsArgs, Role, Security};
pub use server::{Calls, Served};
pub use settings::Settings;
pub use shared::Ended;

/// Names a program for as long as it runs.
pub fn draw_instance() -> u128 {
    use std::hash::{BuildHasher, RandomState};
    let half = || u128::from(RandomState::new().hash_one(std::process::id()));
    half() << 64 | half()
}
