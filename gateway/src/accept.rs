//! Stage 1: connections come in, within limits, on every core by itself.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use hatchway_wire::backend::Backend;
use hatchway_wire::core::{Core, Cores, InFlight};
use hatchway_wire::http1::{self, Peer, Settings};
use hatchway_wire::listen::{Accept, Listener};

use crate::handle::Gateway;

/// Out of descriptors: trying again at once would only burn a core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Limits at the door.
#[derive(Clone, Debug)]
pub struct Door {
    /// Connections that one core serves at a time; the next one is closed at once.
    pub connections_per_core: usize,
    /// Limits of a connection.
    pub http1: Settings,
}

impl Default for Door {
    fn default() -> Self {
        // An idle connection costs about 2 KiB here and as much in the kernel: 40 MiB at the limit.
        Self { connections_per_core: 10_000, http1: Settings::default() }
    }
}

/// Starts a thread per listener. `make` puts the stages together on each core.
///
/// # Errors
/// When a thread cannot be started.
pub fn start<B, M>(listeners: Vec<Listener>, door: Door, make: M) -> io::Result<Cores>
where
    B: Backend,
    M: Fn(&Core) -> Gateway<B> + Clone + Send + 'static,
{
    Cores::start("gateway", listeners, move |core, listener| {
        let (door, gateway) = (door.clone(), Rc::new(make(&core)));
        async move {
            match Accept::from_listener(listener) {
                Ok(listener) => serve(core, listener, door, gateway).await,
                Err(error) => tracing::error!(%error, "a listener is lost"),
            }
        }
    })
}

async fn serve<B: Backend>(core: Core, listener: Accept, door: Door, gateway: Rc<Gateway<B>>) {
    let connections = InFlight::default();
    let door = Rc::new(door);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = core.ticker.drained() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if connections.count() >= door.connections_per_core {
            tracing::debug!("a connection over the limit was closed");
            continue;
        }
        let entered = connections.enter();
        let (gateway, door, ticker) = (gateway.clone(), door.clone(), core.ticker.clone());
        tokio::task::spawn_local(async move {
            let peer = Peer { address: peer.map(|peer| peer.ip()) };
            http1::serve(stream, peer, &*gateway, &door.http1, &ticker).await;
            drop(entered);
        });
    }
    drop(listener);
    connections.none().await;
}
