//! HTTP/1.1 between two streams: a client in front, a node or a function behind.
//!
//! [`service`] is the seam: what gateway and node decide for a request. [`inbound`] reads heads from a
//! client, [`exchange`] carries one request to an upstream and its answer back, [`relay`] moves the bytes,
//! [`tunnel`] what follows a 101 ([`frames`] knows where one may say goodbye), [`idle`] keeps upstream connections for the next request, [`answer`]
//! is what we say ourselves. [`client`] is a client's connection, [`called`] a single request that came over a link, [`settings`] what it may take.

mod ahead;
pub mod answer;
mod called;
mod client;
mod copy;
pub mod exchange;
pub(crate) mod frames;
pub mod idle;
pub mod inbound;
mod pending;
pub(crate) mod relay;
pub mod service;
pub mod settings;
mod shadow;
mod tap;
mod tunnel;
pub mod upgrade;

pub use answer::{Answer, Body};
pub(crate) use called::serve_call;
pub use exchange::{Broken, Cause, Outcome};
pub use inbound::{serve, turn_away};
pub use service::{Clocks, Found, Front, Peer, Refused, Request, Service, Shape, Upstream};
pub use settings::{Linger, Settings};
pub use shadow::discard;
pub use tap::{Tap, Tapped};
