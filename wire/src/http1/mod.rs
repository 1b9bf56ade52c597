//! HTTP/1.1 between two streams: a client in front, a node or a function behind.
//!
//! [`service`] is the seam: what gateway and node decide for a request. [`inbound`] reads heads from a
//! client and keeps its connection, [`exchange`] carries one request to an upstream and its answer back,
//! [`relay`] moves the bytes, [`idle`] keeps upstream connections for the next request, [`answer`]
//! is what we say ourselves.

pub mod answer;
mod copy;
pub mod exchange;
pub mod idle;
pub mod inbound;
mod relay;
pub mod service;
mod tunnel;

pub use answer::{Answer, Body};
pub use exchange::{Broken, Cause, Outcome};
pub use inbound::{Settings, serve};
pub use service::{Clocks, Found, Peer, Refused, Request, Service, Shape, Upstream};
