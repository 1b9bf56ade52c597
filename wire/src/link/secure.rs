//! Who may be at the other end of a link. Between machines that is shown by certificates (TLS 1.3, both ways); on a Unix
//! socket it is said by the permissions of its file, and on the loopback by who can log in.
//!
//! A gateway's certificate and a node's have different names, so that a node that was taken over cannot call other nodes.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hatchway_proto::link::LinkError;

use super::driver;
use crate::Stream;
use crate::listen::Address;
use crate::ticker::Ticker;
use crate::tls::mutual::{Files, Identity, IdentityError, PeerName, PeerNames};
use crate::tls::{self, Pair, Refused};

/// What is spoken inside (ALPN): links of another version are told apart before a word of them is read.
const PROTOCOL: &[u8] = b"hatchway-link/2";

/// Which program this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Connects.
    Gateway,
    /// Is connected to.
    Node,
}

impl Role {
    /// Whom this program meets on its links, and the name that such a program has. `internal` is kept free for private use: no
    /// public authority signs for it.
    fn peer(self) -> (&'static str, &'static str) {
        match self {
            Self::Gateway => ("node", "node.hatchway.internal"),
            Self::Node => ("gateway", "gateway.hatchway.internal"),
        }
    }
}

/// How links are encrypted, as an operator says it.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct LinkTlsArgs {
    /// This program's certificate for links, with its chain, in PEM. With it all links over TCP are encrypted, and both ends
    /// show who they are. Followed while it changes, as the key and the authorities are.
    #[arg(long, value_name = "FILE", requires = "link_tls_key", requires = "link_tls_ca")]
    pub link_tls_cert: Option<PathBuf>,
    /// The private key of that certificate, in PEM without a password. To be followed it has to be readable for the user that
    /// this program runs as.
    #[arg(long, value_name = "FILE", requires = "link_tls_cert")]
    pub link_tls_key: Option<PathBuf>,
    /// The authorities that sign for the other end, in PEM.
    #[arg(long, value_name = "FILE", requires = "link_tls_cert")]
    pub link_tls_ca: Option<PathBuf>,
    /// A name that the other end's certificate may have: a host name, *.domain, or a URI. Repeat for more. By default a node is
    /// node.hatchway.internal, and a gateway gateway.hatchway.internal.
    #[arg(long, value_name = "NAME", requires = "link_tls_cert")]
    pub link_tls_peer: Vec<PeerName>,
}

/// A link that would leave the machine as it is.
#[derive(Debug, thiserror::Error)]
#[error(
    "{option} {address}: a link that leaves this machine has to be encrypted; set --link-tls-cert, --link-tls-key and --link-tls-ca, or use a Unix socket or the loopback"
)]
pub struct Exposed {
    option: &'static str,
    address: Address,
}

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum Insecure {
    /// The other end has been told so.
    #[error(
        "the other end does not encrypt the link: set --link-tls-cert, --link-tls-key and --link-tls-ca there"
    )]
    Plain,
    /// The handshake took too long.
    #[error("the TLS handshake was not complete within its clock")]
    TooSlow,
    /// There was none that was good: the other end left, or is not who it has to be.
    #[error("the TLS handshake failed")]
    Failed(#[source] io::Error),
}

/// How this program's links are secured. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Security(Option<Arc<Identity>>);

impl Security {
    /// Reads the files, where there are any.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn load(args: &LinkTlsArgs, role: Role) -> Result<Self, IdentityError> {
        let (Some(certificate), Some(key), Some(authorities)) =
            (args.link_tls_cert.clone(), args.link_tls_key.clone(), args.link_tls_ca.clone())
        else {
            return Ok(Self(None));
        };
        let (peer, name) = role.peer();
        let mut names = args.link_tls_peer.clone();
        if names.is_empty() {
            names.push(name.parse().expect("it is a host name"));
        }
        let files = Files { pair: Pair { certificate, key }, authorities };
        let identity = Identity::load(files, PeerNames { peer, names }, PROTOCOL)?;
        Ok(Self(Some(Arc::new(identity))))
    }

    /// Whether links may go over `address`, which `option` has named.
    ///
    /// # Errors
    /// Says what is missing.
    pub fn check(&self, option: &'static str, address: &Address) -> Result<(), Exposed> {
        match address {
            Address::Tcp(tcp) if self.0.is_none() && !tcp.ip().is_loopback() => {
                Err(Exposed { option, address: address.clone() })
            }
            Address::Tcp(_) | Address::Unix(_) => Ok(()),
        }
    }

    /// Sees the files change, for as long as it is polled.
    pub async fn follow(self) {
        let Some(identity) = self.0 else { return };
        if let Err(error) = tls::follow(identity).await {
            tracing::error!(%error, "changes of the certificates for links are not seen");
        }
    }

    /// Secures a connection to a node at `address`; none for a Unix socket.
    ///
    /// # Errors
    /// [`Insecure`].
    pub async fn connect(
        &self,
        stream: Stream,
        address: Option<IpAddr>,
        clock: Duration,
        ticker: &Ticker,
    ) -> Result<Stream, Insecure> {
        let (Some(identity), Some(address)) = (&self.0, address) else { return Ok(stream) };
        identity.connect(stream, address, clock, ticker).await.map_err(Insecure::from)
    }

    /// Secures a connection that a gateway has made.
    ///
    /// # Errors
    /// [`Insecure`].
    pub async fn accept(
        &self,
        stream: Stream,
        clock: Duration,
        ticker: &Ticker,
    ) -> Result<Stream, Insecure> {
        let (Some(identity), Stream::Tcp(_)) = (&self.0, &stream) else { return Ok(stream) };
        match identity.accept(stream, clock, ticker).await {
            Err(Refused::Plain(stream)) => {
                driver::say_goodbye(stream, LinkError::Encryption);
                Err(Insecure::Plain)
            }
            accepted => accepted.map_err(Insecure::from),
        }
    }
}

impl From<Refused> for Insecure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Plain(_) => Self::Plain,
            Refused::TooSlow => Self::TooSlow,
            Refused::Gone(error) | Refused::Failed(error) => Self::Failed(error),
        }
    }
}
