//! What ten thousand clients cost that say nothing.

use serde::Serialize;

use crate::error::{BenchError, Result};
use crate::front::Front;
use crate::load::IdleClients;
use crate::peers::{Peer, Site};

#[derive(Debug, Serialize)]
pub(crate) struct IdleFigures {
    pub(crate) peer: Peer,
    pub(crate) protocol: &'static str,
    pub(crate) connections: usize,
    pub(crate) before_bytes: u64,
    pub(crate) with_bytes: u64,
    /// Resident memory per connection. The kernel's own socket buffers come on top, for all alike.
    pub(crate) bytes_per_connection: f64,
}

/// Opens `connections` to a fresh `peer`, each answered once, and compares its memory.
///
/// # Errors
/// When a connection is refused, or one that was open is closed by the peer: then there is no figure.
pub(crate) fn measure(
    peer: Peer,
    front: Front,
    connections: usize,
    site: &Site,
) -> Result<IdleFigures> {
    let running = peer.start(site, front)?;
    // The first request fills caches that are not per connection.
    drop(IdleClients::open(running.address, front, 1)?);
    let before_bytes = running.charged.usage().resident_bytes;
    let mut clients = IdleClients::open(running.address, front, connections)?;
    let with_bytes = running.charged.usage().resident_bytes;
    let closed = clients.closed_by_peer();
    if closed > 0 {
        let text = format!("{closed} of {connections} were closed");
        return Err(BenchError::Unexpected { what: "the number of idle connections", text });
    }
    let grown = with_bytes.saturating_sub(before_bytes) as f64;
    let protocol = if front == Front::Plain { "HTTP/1.1" } else { "HTTP/2" };
    Ok(IdleFigures {
        peer,
        protocol,
        connections,
        before_bytes,
        with_bytes,
        bytes_per_connection: grown / connections as f64,
    })
}
