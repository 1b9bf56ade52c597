//! Who this program is on its links, and whom it takes for the other end: three files, and names.

use std::hash::{DefaultHasher, Hasher};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::names::PeerNames;
use super::verify::{Called, Callers};
use crate::Stream;
use crate::process::chain;
use crate::ticker::Ticker;
use crate::tls::follow::{Followed, warn_of_exposed_key};
use crate::tls::handshake::{Refused, shake};
use crate::tls::pair::{self, Pair, PairError};
use crate::tls::session::Session;
use crate::tls::stream::Tls;

/// Where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// What this program shows, and proves that it is its own.
    pub pair: Pair,
    /// The authorities whose signature the other end's certificate has to have, in PEM.
    pub authorities: PathBuf,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// One of the files.
    #[error(transparent)]
    File(#[from] PairError),
    /// An authority that is none.
    #[error("a certificate in {} is not that of an authority", path.display())]
    BadAuthority {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The provider of cryptography.
    #[error("TLS cannot be set up")]
    Setup(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What this program shows on its links, and asks for. A handshake reads it once, whatever changes on disk meanwhile.
///
/// TLS 1.3 alone. Sessions are not resumed: links stay, and whoever comes again has its certificate looked at again.
#[derive(Debug)]
pub struct Identity {
    files: Files,
    names: PeerNames,
    protocol: &'static [u8],
    provider: Arc<CryptoProvider>,
    current: ArcSwap<Current>,
}

/// The files as they were read.
#[derive(Debug)]
struct Current {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    digest: u64,
}

impl Identity {
    /// Reads the files. `protocol` is what is spoken inside (ALPN, RFC 7301); `names` are those of the other end.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn load(
        files: Files,
        names: PeerNames,
        protocol: &'static [u8],
    ) -> Result<Self, IdentityError> {
        let provider = Arc::new(default_provider());
        let current = ArcSwap::from_pointee(read(&files, &names, protocol, &provider)?);
        Ok(Self { files, names, protocol, provider, current })
    }

    /// Shakes hands with whoever has connected.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn accept(
        &self,
        stream: Stream,
        clock: Duration,
        ticker: &Ticker,
    ) -> Result<Stream, Refused> {
        let session = Session::serve(&self.current.load().server);
        self.agreed(shake(stream, session, clock, ticker).await?)
    }

    /// Shakes hands with what we have connected to, which is told its own `address` and nothing else.
    ///
    /// # Errors
    /// [`Refused`]. That the other end refuses us is only seen by the first read.
    pub async fn connect(
        &self,
        stream: Stream,
        address: IpAddr,
        clock: Duration,
        ticker: &Ticker,
    ) -> Result<Stream, Refused> {
        let session = Session::call(&self.current.load().client, ServerName::from(address));
        self.agreed(shake(stream, session, clock, ticker).await?)
    }

    /// Whoever names no protocol would be let through by TLS.
    fn agreed(&self, tls: Tls) -> Result<Stream, Refused> {
        if tls.session().protocol() == Some(self.protocol) {
            return Ok(Stream::Tls(Box::new(tls)));
        }
        let wanted = String::from_utf8_lossy(self.protocol);
        let error = format!("the other end does not say that it speaks {wanted}");
        Err(Refused::Failed(std::io::Error::other(error)))
    }
}

impl Followed for Identity {
    fn files(&self) -> Vec<&Path> {
        let Files { pair, authorities } = &self.files;
        vec![&pair.certificate, &pair.key, authorities]
    }

    fn reload(&self) {
        let certificate = self.files.pair.certificate.display();
        match read(&self.files, &self.names, self.protocol, &self.provider) {
            Ok(new) if new.digest == self.current.load().digest => {}
            Ok(new) => {
                self.current.store(Arc::new(new));
                tracing::info!(%certificate, "the identity on links was replaced");
            }
            Err(error) => tracing::error!(
                %certificate,
                error = %chain(&error),
                "the identity on links is not replaced, and the one before goes on being used",
            ),
        }
    }
}

fn read(
    files: &Files,
    names: &PeerNames,
    protocol: &'static [u8],
    provider: &Arc<CryptoProvider>,
) -> Result<Current, IdentityError> {
    let loaded = files.pair.load(provider)?;
    if loaded.is_exposed {
        warn_of_exposed_key(&files.pair);
    }
    let pem = pair::read(&files.authorities)?;
    let roots = Arc::new(roots(&files.authorities, &pem)?);
    let shown = Arc::new(SingleCertAndKey::from(Arc::unwrap_or_clone(loaded.key)));

    let callers = Callers::new(Arc::clone(&roots), provider, names.clone()).map_err(setup)?;
    let mut server = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(setup)?
        .with_client_cert_verifier(Arc::new(callers))
        .with_cert_resolver(shown.clone());
    server.alpn_protocols = vec![protocol.to_vec()];
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;

    let called = Called::new(roots, provider, names.clone());
    let mut client = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(setup)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(called))
        .with_client_cert_resolver(shown);
    client.alpn_protocols = vec![protocol.to_vec()];
    client.resumption = Resumption::disabled();

    let mut digest = DefaultHasher::new();
    digest.write_u64(loaded.digest);
    digest.write(&pem);
    let digest = digest.finish();
    Ok(Current { server: Arc::new(server), client: Arc::new(client), digest })
}

pub(in crate::tls) fn setup(
    error: impl std::error::Error + Send + Sync + 'static,
) -> IdentityError {
    IdentityError::Setup(Box::new(error))
}

pub(in crate::tls) fn roots(path: &Path, pem: &[u8]) -> Result<RootCertStore, IdentityError> {
    let path = || path.to_owned();
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| PairError::Malformed { path: path() })?;
        let added = roots.add(certificate);
        added.map_err(|source| IdentityError::BadAuthority { path: path(), source })?;
    }
    if roots.is_empty() {
        return Err(PairError::NoCertificate { path: path() }.into());
    }
    Ok(roots)
}
