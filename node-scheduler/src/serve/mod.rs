//! Stage 7: calls arrive from gateways in other processes, over links. The head comes in the bytes that the function reads,
//! and what is between gateway and node comes beside it: nothing is parsed here.
//!
//! Here links are accepted and laid over the cores; [`calls`] is what the node makes of a call.

mod calls;

use std::io;
use std::time::Duration;

use hatchway_wire::Stream;
use hatchway_wire::core::{Core, Cores, InFlight};
use hatchway_wire::link::spread::{self, Seated, Share};
use hatchway_wire::link::{Security, Served, Settings};
use hatchway_wire::listen::{Accept, Listener};
use hatchway_wire::process;
use hatchway_wire::trace::Tracers;

use crate::admit::NodeCore;

use calls::GatewayCalls;

/// Out of descriptors: trying again at once would only burn a core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Starts a thread per listener. Gateways have to be who `security` asks for, and are told `instance`, which was drawn when the
/// program started.
///
/// # Errors
/// When a thread cannot be started.
pub fn start<M>(
    listeners: Vec<Listener>,
    instance: u128,
    (security, tracers): (Security, Option<Tracers>),
    make: M,
) -> io::Result<Cores>
where
    M: Fn(&Core) -> NodeCore + Clone + Send + 'static,
{
    let shares = spread::shares(listeners.len());
    let shares: Vec<_> = listeners.into_iter().zip(shares).collect();
    Cores::start("node", shares, move |core, (listener, share)| {
        let calls = |node| GatewayCalls::new(node, tracers.as_ref().map(Tracers::tracer));
        let served = Served::new(calls(make(&core)), core.ticker, instance);
        let door = Door { served, security: security.clone(), links: InFlight::default() };
        async move {
            match Accept::from_listener(listener) {
                Ok(listener) => accept(listener, share, door).await,
                Err(error) => tracing::error!(%error, "a listener is lost"),
            }
        }
    })
}

/// What all links of a core share.
struct Door {
    served: Served<GatewayCalls>,
    security: Security,
    links: InFlight,
}

async fn accept(listener: Accept, mut share: Share, door: Door) {
    loop {
        let link = tokio::select! {
            accepted = listener.accept() => accepted.and_then(|(stream, _)| share.place(stream)),
            arrived = share.arrival() => arrived.map(Some),
            () = door.served.ticker().drained() => break,
        };
        match link {
            Ok(Some(link)) => door.serve(link),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "a gateway was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    door.links.none().await;
    door.served.none().await;
}

impl Door {
    fn serve(&self, (stream, seated): (Stream, Seated)) {
        let (served, security) = (self.served.clone(), self.security.clone());
        let entered = self.links.enter();
        tokio::task::spawn_local(async move {
            let clock = Settings::default().hello_clock;
            match security.accept(stream, clock, served.ticker()).await {
                Ok(stream) => served.serve(stream).await,
                Err(error) => {
                    let error = process::chain(&error);
                    tracing::warn!(error, "whoever connected is not served as a gateway");
                }
            }
            drop((seated, entered));
        });
    }
}
