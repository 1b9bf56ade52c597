//! What every handshake goes by, the same on all cores.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{Ticketer, cipher_suite, default_provider};
use rustls::server::NoServerSessionStorage;
use rustls::version::{TLS12, TLS13};

use crate::tls::certificates::{Certificates, Choice};
use crate::tls::follow::warn_of_exposed_keys;
use crate::tls::pair::{Pair, PairError};

/// HTTP/2 first, for a client that has both (RFC 7301; RFC 9113 section 3.2).
const PROTOCOLS: [&[u8]; 2] = [HTTP2, b"http/1.1"];
/// HTTP/2 over TLS.
pub(super) const HTTP2: &[u8] = b"h2";

/// The server's side of TLS. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Server {
    /// As rustls wants it.
    pub(super) config: Arc<rustls::ServerConfig>,
    /// What clients are shown; [`follow`](crate::tls::follow) keeps them current.
    pub certificates: Arc<Certificates>,
}

/// Why TLS cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A pair of files.
    #[error(transparent)]
    Pair(#[from] PairError),
    /// The provider of cryptography.
    #[error("TLS cannot be set up")]
    Setup(#[from] rustls::Error),
}

impl Server {
    /// Reads the certificates. The first pair is for clients that name no host, or one that nobody has.
    ///
    /// TLS 1.2 and 1.3 with the suites that rustls has by default, in [our order](provider); never renegotiation (which it does not know) nor 0-RTT,
    /// whose requests an attacker can send again. Sessions are resumed by tickets: nothing is kept for a client that has left,
    /// and any core can resume what another began. Their key is drawn here, changes every six hours, and never leaves the process.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn load(pairs: Vec<Pair>) -> Result<Self, ServerError> {
        let provider = Arc::new(provider());
        let certificates = Arc::new(Certificates::load(pairs, Arc::clone(&provider))?);
        warn_of_exposed_keys(&certificates);
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(certificates.clone());
        config.ignore_client_order = true;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Ticketer::new()?;
        Ok(Self { config: Arc::new(config), certificates })
    }
}

impl Server {
    /// For one client: which certificate it is shown is remembered, where there are several.
    pub(super) fn for_client(&self) -> (Arc<rustls::ServerConfig>, Option<Arc<Choice>>) {
        if !self.certificates.are_several() {
            return (Arc::clone(&self.config), None);
        }
        let choice = Choice::of(&self.certificates);
        let mut config = rustls::ServerConfig::clone(&self.config);
        config.cert_resolver = Arc::clone(&choice) as _;
        (Arc::new(config), Some(choice))
    }
}

/// The defaults, with AES-128 and SHA-256 before AES-256 and SHA-384 for TLS 1.3. Both are beyond reach, processors have
/// instructions for SHA-256 and none for SHA-384, and a handshake derives its keys by some sixty hashes: a fifth of its time.
fn provider() -> CryptoProvider {
    let mut provider = default_provider();
    let first = cipher_suite::TLS13_AES_128_GCM_SHA256;
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != first.suite());
    provider
}
