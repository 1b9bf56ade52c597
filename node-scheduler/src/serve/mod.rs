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
use hatchway_wire::link::{self, Served};
use hatchway_wire::listen::{Accept, Listener};

use crate::admit::NodeCore;

use calls::GatewayCalls;

/// Out of descriptors: trying again at once would only burn a core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Starts a thread per listener.
///
/// # Errors
/// When a thread cannot be started.
pub fn start<M>(listeners: Vec<Listener>, make: M) -> io::Result<Cores>
where
    M: Fn(&Core) -> NodeCore + Clone + Send + 'static,
{
    let instance = link::draw_instance();
    let shares = spread::shares(listeners.len());
    let shares: Vec<_> = listeners.into_iter().zip(shares).collect();
    Cores::start("node", shares, move |core, (listener, share)| {
        let served = Served::new(GatewayCalls::new(make(&core)), core.ticker, instance);
        async move {
            match Accept::from_listener(listener) {
                Ok(listener) => accept(listener, share, served).await,
                Err(error) => tracing::error!(%error, "a listener is lost"),
            }
        }
    })
}

async fn accept(listener: Accept, mut share: Share, served: Served<GatewayCalls>) {
    let links = InFlight::default();
    loop {
        let link = tokio::select! {
            accepted = listener.accept() => accepted.and_then(|(stream, _)| share.place(stream)),
            arrived = share.arrival() => arrived.map(Some),
            () = served.ticker().drained() => break,
        };
        match link {
            Ok(Some(link)) => serve(link, &served, &links),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "a gateway was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    links.none().await;
    served.none().await;
}

fn serve((stream, seated): (Stream, Seated), served: &Served<GatewayCalls>, links: &InFlight) {
    let (served, entered) = (served.clone(), links.enter());
    tokio::task::spawn_local(async move {
        served.serve(stream).await;
        drop((seated, entered));
    });
}
