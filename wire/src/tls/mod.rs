//! TLS: rustls over a connection, with certificates that may change on disk. For clients they are chosen by name; on links
//! between our own programs both ends show theirs.
//!
//! Reading order: [`pair`] is a certificate and its key in files, [`certificates`] all of them and the choice by name,
//! [`follow`] sees them change; [`clients`] is what clients show, where they are asked. [`server`] holds what every handshake goes by, the same for all cores. [`handshake`] turns a
//! connection into a [`stream`], which reads and writes records through a [`session`] without keeping a buffer while idle.
//! [`mutual`] is for links: who shows what to whom.

mod certificates;
mod clients;
mod follow;
mod handshake;
pub mod mutual;
mod pair;
mod server;
mod session;
mod stream;

pub use certificates::{Certificates, Shown};
pub use clients::{ClientAuthorities, Credential};
pub use follow::{Followed, follow};
pub use handshake::{Refused, Shaken, accept};
pub use pair::{Pair, PairError};
pub use server::{Server, ServerError};
pub use stream::Tls;
