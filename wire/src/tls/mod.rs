//! TLS for clients: rustls over a connection, with certificates that are chosen by name and may change on disk.
//!
//! Reading order: [`pair`] is a certificate and its key in files, [`certificates`] all of them and the choice by name,
//! [`follow`] sees them change. [`server`] holds what every handshake goes by, the same for all cores. [`handshake`] turns a
//! connection into a [`stream`], which reads and writes records through a [`session`] without keeping a buffer while idle.

mod certificates;
mod follow;
mod handshake;
mod pair;
mod server;
mod session;
mod stream;

pub use certificates::Certificates;
pub use follow::follow;
pub use handshake::{Refused, Shaken, accept};
pub use pair::{Pair, PairError};
pub use server::{Server, ServerError};
pub use stream::Tls;
