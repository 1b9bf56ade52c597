//! HTTP/2 from clients, joined to the same decisions and the same upstream half as HTTP/1.1.
//!
//! The `h2` crate reads and writes frames. Everything that decides about a request is shared: a stream's head is
//! written as an HTTP/1.1 head ([`head`]) and parsed by the same strict parser, so nothing that is refused there gets in
//! here, and [`Service`](crate::http1::Service) does not know the difference.
//!
//! Reading order: [`connection`] is one client's connection and its streams, [`line`] the bytes below it with one write
//! a turn, [`exchange`] one request, [`relay`] its two bodies: [`up`] and [`down`]. [`reply`] is our half of a
//! stream, [`answer`] what we say ourselves, [`settings`] what a connection may take, [`glitches`] counts what brings nothing,
//! [`linger`] hears out a client that was answered early. [`websocket`] is what a stream may become. [`outbound`] is the other side: functions that speak HTTP/2.

mod answer;
#[cfg(any(test, feature = "test-support"))]
pub mod check;
mod connection;
mod down;
mod exchange;
mod glitches;
mod head;
mod line;
mod linger;
pub mod outbound;
mod relay;
mod reply;
pub mod settings;
mod up;
mod websocket;

pub use connection::serve;
pub use settings::Settings;
