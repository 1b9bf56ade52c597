//! The sockets that a gateway takes connections from: one of each kind for every core.

use std::iter;

use hatchway_wire::listen::Listener;
use hatchway_wire::tls;

use crate::config::TlsPort;

/// Sockets for all cores.
#[derive(Debug)]
pub struct Ports {
    plain: Vec<Listener>,
    tls: Vec<Listener>,
    server: Option<tls::Server>,
}

/// What one core has of them.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) plain: Listener,
    pub(super) tls: Option<(Listener, tls::Server)>,
}

impl From<Vec<Listener>> for Ports {
    /// A listener for each core.
    fn from(plain: Vec<Listener>) -> Self {
        Self { plain, tls: Vec::new(), server: None }
    }
}

impl Ports {
    /// Adds a port for TLS, where there is one.
    #[must_use]
    pub fn with_tls(self, port: Option<TlsPort>) -> Self {
        let Some((tls, server)) = port.map(TlsPort::into_parts) else { return self };
        debug_assert_eq!(self.plain.len(), tls.len(), "every core has both");
        Self { tls, server: Some(server), ..self }
    }

    pub(super) fn shares(self) -> Vec<Share> {
        let servers = iter::repeat_with(|| self.server.clone());
        let tls = self.tls.into_iter().zip(servers);
        let tls = tls
            .map(|(listener, server)| Some((listener, server?)))
            .chain(iter::repeat_with(|| None));
        self.plain.into_iter().zip(tls).map(|(plain, tls)| Share { plain, tls }).collect()
    }
}
