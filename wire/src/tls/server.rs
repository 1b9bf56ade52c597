//! What every handshake goes by, the same on all cores.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{Ticketer, cipher_suite, default_provider};
use rustls::server::NoServerSessionStorage;
use rustls::version::{TLS12, TLS13};

use crate::process::chain;
use crate::tls::certificates::{Certificates, Choice};
use crate::tls::clients::{ClientAuthorities, Verifier};
use crate::tls::follow::{Followed, warn_of_exposed_keys};
use crate::tls::mutual::IdentityError;
use crate::tls::pair::{Pair, PairError};

/// HTTP/2 first, for a client that has both (RFC 7301; RFC 9113 section 3.2).
const PROTOCOLS: [&[u8]; 2] = [HTTP2, b"http/1.1"];
/// HTTP/2 over TLS.
pub(super) const HTTP2: &[u8] = b"h2";

/// The server's side of TLS. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Server {
    /// As rustls wants it.
    config: Arc<ArcSwap<ServerConfig>>,
    /// What clients are shown.
    pub certificates: Arc<Certificates>,
    /// Whose certificates clients may or have to show.
    clients: Option<Arc<Clients>>,
}

/// What is asked of clients, and what it was when it was read last.
#[derive(Debug)]
struct Clients {
    authorities: ClientAuthorities,
    digest: AtomicU64,
}

/// Why TLS cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A pair of files.
    #[error(transparent)]
    Pair(#[from] PairError),
    /// The authorities of clients.
    #[error(transparent)]
    Authorities(#[from] IdentityError),
    /// The provider of cryptography.
    #[error("TLS cannot be set up")]
    Setup(#[from] rustls::Error),
}

impl Server {
    /// Reads the certificates. The first pair is for clients that name no host, or one that nobody has. Clients show nothing
    /// unless `authorities` are there to sign for them.
    ///
    /// TLS 1.2 and 1.3 with the suites that rustls has by default, in [our order](provider); never renegotiation (which it does not know) nor 0-RTT,
    /// whose requests an attacker can send again. Sessions are resumed by tickets: nothing is kept for a client that has left,
    /// and any core can resume what another began. Their key is drawn here, changes every six hours, and never leaves the process.
    /// Where clients show certificates nothing is resumed: whoever comes again has its own looked at again, by the authorities of
    /// that day.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn load(
        pairs: Vec<Pair>,
        authorities: Option<ClientAuthorities>,
    ) -> Result<Self, ServerError> {
        let provider = Arc::new(provider());
        let certificates = Arc::new(Certificates::load(pairs, Arc::clone(&provider))?);
        warn_of_exposed_keys(&certificates);
        let verifier = authorities.as_ref().map(|asked| asked.load(&provider)).transpose()?;
        let digest = AtomicU64::new(verifier.as_ref().map_or(0, |verifier| verifier.digest));
        let clients = authorities.map(|authorities| Arc::new(Clients { authorities, digest }));
        let config = config(&certificates, verifier)?;
        Ok(Self { config: Arc::new(ArcSwap::from_pointee(config)), certificates, clients })
    }

    /// For one client: which certificate it is shown is remembered, where there are several.
    pub(super) fn for_client(&self) -> (Arc<ServerConfig>, Option<Arc<Choice>>) {
        let config = self.config.load_full();
        if !self.certificates.are_several() {
            return (config, None);
        }
        let choice = Choice::of(&self.certificates);
        let mut config = Arc::unwrap_or_clone(config);
        config.cert_resolver = Arc::clone(&choice) as _;
        (Arc::new(config), Some(choice))
    }

    /// Reads the authorities of clients again; true when they are others now.
    fn reload(&self, clients: &Clients) -> Result<bool, ServerError> {
        let verifier = clients.authorities.load(self.certificates.provider())?;
        let digest = verifier.digest;
        if clients.digest.load(Ordering::Relaxed) == digest {
            return Ok(false);
        }
        self.config.store(Arc::new(config(&self.certificates, Some(verifier))?));
        clients.digest.store(digest, Ordering::Relaxed);
        Ok(true)
    }
}

impl Followed for Server {
    fn files(&self) -> Vec<&Path> {
        let authorities = self.clients.as_ref().map(|clients| &*clients.authorities.file);
        self.certificates.files().into_iter().chain(authorities).collect()
    }

    fn reload(&self) {
        Followed::reload(&*self.certificates);
        let Some(clients) = &self.clients else { return };
        let file = clients.authorities.file.display();
        match Self::reload(self, clients) {
            Ok(false) => {}
            Ok(true) => tracing::info!(%file, "the authorities of clients were replaced"),
            Err(error) => tracing::error!(
                %file,
                error = %chain(&error),
                "the authorities of clients are not replaced, and those before go on being asked",
            ),
        }
    }
}

fn config(
    certificates: &Arc<Certificates>,
    verifier: Option<Verifier>,
) -> Result<ServerConfig, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(certificates.provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?;
    let is_resumed = verifier.is_none();
    let builder = match verifier {
        None => builder.with_no_client_auth(),
        Some(asked) => builder.with_client_cert_verifier(asked.verifier),
    };
    let mut config = builder.with_cert_resolver(certificates.clone());
    config.ignore_client_order = true;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    match is_resumed {
        true => config.ticketer = Ticketer::new()?,
        false => config.send_tls13_tickets = 0,
    }
    Ok(config)
}

/// The defaults, with AES-128 and SHA-256 before AES-256 and SHA-384 for TLS 1.3. Both are beyond reach, processors have
/// instructions for SHA-256 and none for SHA-384, and a handshake derives its keys by some sixty hashes: a fifth of its time.
fn provider() -> CryptoProvider {
    let mut provider = default_provider();
    let first = cipher_suite::TLS13_AES_128_GCM_SHA256;
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != first.suite());
    provider
}
