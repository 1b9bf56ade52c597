//! Connections are taken and served, or told that there is no room.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use hatchway_proto::proxy_protocol::Header;
use hatchway_wire::backend::Backend;
use hatchway_wire::core::{Core, Cores, InFlight};
use hatchway_wire::http1::{self, Peer};
use hatchway_wire::listen::{Accept, Accepted, Listener};
use hatchway_wire::ticker::Ticker;
use hatchway_wire::{Stream, http2, process, proxied, tls};

use super::crowd::{Crowd, Full, Inside};
use super::door::Door;
use super::ports::{Ports, Share};
use crate::handle::Gateway;

/// Out of descriptors: trying again at once would only burn a core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Starts a thread per listener. `make` puts the stages together on each core.
///
/// # Errors
/// When a thread cannot be started.
pub fn start<B, M>(ports: impl Into<Ports>, door: Door, make: M) -> io::Result<Cores>
where
    B: Backend,
    M: Fn(&Core) -> Gateway<B> + Clone + Send + 'static,
{
    Cores::start("gateway", ports.into().shares(), move |core, share| {
        let entrance = Rc::new(Entrance {
            gateway: make(&core)
                .within(&door)
                .showing(share.tls.as_ref().map(|(_, server)| &server.certificates)),
            door: door.clone(),
            ticker: core.ticker,
            crowd: Crowd::default(),
            turned_away: InFlight::default(),
        });
        async move {
            let Share { plain, tls } = share;
            let tls = async {
                if let Some((listener, server)) = tls {
                    serve(&entrance, listener, Some(Rc::new(server))).await;
                }
            };
            tokio::join!(serve(&entrance, plain, None), tls);
            entrance.crowd.none().await;
            entrance.turned_away.none().await;
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

/// How connections of a port are encrypted.
type Encryption = Option<Rc<tls::Server>>;

async fn serve<B: Backend>(entrance: &Rc<Entrance<B>>, listener: Listener, tls: Encryption) {
    let listener = match Accept::from_listener(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a listener is lost"),
    };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = entrance.ticker.drained() => break,
        };
        match accepted {
            Ok(accepted) => Entrance::admit(entrance, accepted, &tls),
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    while let Some(accepted) = listener.accept_waiting() {
        Entrance::admit(entrance, accepted, &tls);
    }
}

impl<B: Backend> Entrance<B> {
    /// Serves a connection where there is room.
    fn admit(self: &Rc<Self>, (stream, peer): Accepted, tls: &Encryption) {
        let address = peer.map(|peer| peer.ip());
        let is_trusted = self.door.trusted.includes(address);
        if self.door.proxy_protocol && !is_trusted {
            return self.gateway.ignored("untrusted-proxy");
        }
        // A trusted proxy brings the clients of many addresses.
        let counted = address.filter(|_| !is_trusted);
        let entered = match self.gateway.has_no_memory() {
            true => Err(Full::Memory),
            false => self.crowd.enter(counted, &self.door),
        };
        match entered {
            Ok(mut inside) => {
                let connected = self.gateway.connected();
                let (this, tls) = (Rc::clone(self), tls.clone());
                tokio::task::spawn_local(async move {
                    let (mut stream, mut peer) = (stream, Peer { address, ..Peer::default() });
                    if this.door.proxy_protocol {
                        let introducing = this.introduce(&mut stream, &mut inside, peer);
                        match Box::pin(introducing).await {
                            Some(client) => peer = client,
                            None => return,
                        }
                    }
                    match tls {
                        None => this.serve(stream, peer).await,
                        Some(server) => this.serve_encrypted(stream, peer, &server).await,
                    }
                    drop((inside, connected));
                });
            }
            Err(full) => {
                let answer = self.gateway.turn_away(full);
                // A handshake only to say no would cost more than the service.
                if tls.is_none() && self.turned_away.count() < self.door.turned_away {
                    let (this, entered) = (Rc::clone(self), self.turned_away.enter());
                    tokio::task::spawn_local(async move {
                        http1::turn_away(stream, answer, &this.door.http1, &this.ticker).await;
                        drop(entered);
                    });
                }
            }
        }
    }

    /// Hears from a balancer for whom it has connected; none when the connection is to be closed.
    async fn introduce(
        &self,
        stream: &mut Stream,
        inside: &mut Inside,
        balancer: Peer<'static>,
    ) -> Option<Peer<'static>> {
        match proxied::read(stream, self.door.http1.head_clock, &self.ticker).await {
            Err(why) => {
                tracing::debug!(error = %process::chain(&why), "a balancer is not understood");
                self.gateway.ignored("bad-proxy-header");
                None
            }
            Ok(Header { client: None, .. }) => Some(balancer),
            Ok(Header { client: Some(address), is_encrypted }) => {
                if let Err(full) = self.crowd.name(inside, address, &self.door) {
                    self.gateway.turn_away(full);
                    return None;
                }
                Some(Peer { address: Some(address), is_encrypted, ..balancer })
            }
        }
    }

    async fn serve(&self, stream: Stream, peer: Peer<'_>) {
        http1::serve(stream, peer, &self.gateway, &self.door.http1, &self.ticker).await;
    }

    async fn serve_encrypted(&self, stream: Stream, peer: Peer<'_>, server: &tls::Server) {
        let peer = Peer { is_encrypted: true, ..peer };
        // Boxed, as all that does not last: an idle connection pays for the size of this future.
        let shaking = tls::accept(stream, server, self.door.handshake_clock, &self.ticker);
        let shaken = match Box::pin(shaking).await {
            Ok(shaken) => shaken,
            Err(why) => return Box::pin(self.refuse(why)).await,
        };
        let peer = Peer { shown: shaken.shown, credential: shaken.credential.as_deref(), ..peer };
        self.gateway.shook_hands(if shaken.is_resumed { "resumed" } else { "full" });
        match &self.door.http1.http2 {
            Some(http2) if shaken.is_http2 => {
                let (begun, settings) = ((shaken.stream, Vec::new()), (&self.door.http1, http2));
                Box::pin(http2::serve(begun, peer, &self.gateway, settings, &self.ticker)).await;
            }
            Some(_) | None => self.serve(shaken.stream, peer).await,
        }
    }

    /// Whoever cannot be spoken to by TLS may be told why in plain.
    async fn refuse(&self, why: tls::Refused) {
        tracing::debug!(error = %process::chain(&why), "a client has no TLS session");
        let result = match why {
            tls::Refused::Plain(stream) => {
                let answer = self.gateway.wants_tls();
                http1::turn_away(stream, answer, &self.door.http1, &self.ticker).await;
                "plain"
            }
            tls::Refused::TooSlow => "slow",
            tls::Refused::Gone(_) => "left",
            tls::Refused::Failed(_) => "failed",
        };
        self.gateway.shook_hands(result);
    }
}
