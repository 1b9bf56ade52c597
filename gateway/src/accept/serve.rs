//! Connections are taken and served, or told that there is no room.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use hatchway_wire::backend::Backend;
use hatchway_wire::core::{Core, Cores, InFlight};
use hatchway_wire::http1::{self, Peer};
use hatchway_wire::listen::{Accept, Accepted, Listener};
use hatchway_wire::ticker::Ticker;

use super::crowd::Crowd;
use super::door::Door;
use crate::handle::Gateway;

/// Out of descriptors: trying again at once would only burn a core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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
        let entrance = Rc::new(Entrance {
            gateway: make(&core),
            door: door.clone(),
            ticker: core.ticker,
            crowd: Crowd::default(),
            turned_away: InFlight::default(),
        });
        async move {
            match Accept::from_listener(listener) {
                Ok(listener) => serve(entrance, listener).await,
                Err(error) => tracing::error!(%error, "a listener is lost"),
            }
        }
    })
}

/// What every connection of a core shares.
struct Entrance<B> {
    gateway: Gateway<B>,
    door: Door,
    ticker: Ticker,
    crowd: Crowd,
    turned_away: InFlight,
}

async fn serve<B: Backend>(entrance: Rc<Entrance<B>>, listener: Accept) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = entrance.ticker.drained() => break,
        };
        match accepted {
            Ok(accepted) => Entrance::admit(&entrance, accepted),
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    while let Some(accepted) = listener.accept_waiting() {
        Entrance::admit(&entrance, accepted);
    }
    drop(listener);
    entrance.crowd.none().await;
    entrance.turned_away.none().await;
}

impl<B: Backend> Entrance<B> {
    /// Serves a connection where there is room.
    fn admit(self: &Rc<Self>, (stream, peer): Accepted) {
        let address = peer.map(|peer| peer.ip());
        match self.crowd.enter(address, &self.door) {
            Ok(inside) => {
                let this = Rc::clone(self);
                tokio::task::spawn_local(async move {
                    let peer = Peer { address };
                    http1::serve(stream, peer, &this.gateway, &this.door.http1, &this.ticker).await;
                    drop(inside);
                });
            }
            Err(full) => {
                let answer = self.gateway.turn_away(full);
                if self.turned_away.count() < self.door.turned_away {
                    let (this, entered) = (Rc::clone(self), self.turned_away.enter());
                    tokio::task::spawn_local(async move {
                        http1::turn_away(stream, answer, &this.door.http1, &this.ticker).await;
                        drop(entered);
                    });
                }
            }
        }
    }
}
