//! TLS for operators: this program shows its certificate to everybody, and looks at theirs where they have one.

use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS13;
use webpki::EndEntityCert;

use super::identity::{IdentityError, roots, setup};
use super::names::PeerName;
use crate::process::chain;
use crate::tls::follow::{Followed, warn_of_exposed_key};
use crate::tls::pair::{self, Pair};

/// What operators shake hands with; read again when the files change. TLS 1.3 alone, nothing is resumed.
#[derive(Debug)]
pub struct OperatorTls {
    pair: Pair,
    authorities: Option<PathBuf>,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<Current>,
}

#[derive(Debug)]
struct Current {
    server: Arc<ServerConfig>,
    digest: u64,
}

impl OperatorTls {
    /// Reads the files. With `authorities`, a certificate that they have signed is asked for; who has none may come in by
    /// something else.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn load(pair: Pair, authorities: Option<PathBuf>) -> Result<Self, IdentityError> {
        let provider = Arc::new(default_provider());
        let current = ArcSwap::from_pointee(read(&pair, authorities.as_deref(), &provider)?);
        Ok(Self { pair, authorities, provider, current })
    }

    /// For the next handshake.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().server)
    }
}

fn read(
    pair: &Pair,
    authorities: Option<&Path>,
    provider: &Arc<CryptoProvider>,
) -> Result<Current, IdentityError> {
    let loaded = pair.load(provider)?;
    if loaded.is_exposed {
        warn_of_exposed_key(pair);
    }
    let mut digest = DefaultHasher::new();
    digest.write_u64(loaded.digest);
    let shown = Arc::new(SingleCertAndKey::from(Arc::unwrap_or_clone(loaded.key)));
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(setup)?;
    let builder = match authorities {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let pem = pair::read(path)?;
            digest.write(&pem);
            let roots = Arc::new(roots(path, &pem)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
            let verifier = verifier.allow_unauthenticated().build().map_err(setup)?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut server = builder.with_cert_resolver(shown);
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    Ok(Current { server: Arc::new(server), digest: digest.finish() })
}

impl PeerName {
    /// Whether a certificate, whose signature was verified, has this name.
    pub(crate) fn is_of(&self, certificate: &CertificateDer<'_>) -> bool {
        let Ok(parsed) = EndEntityCert::try_from(certificate) else { return false };
        parsed.valid_dns_names().any(|host| self.is_host(host))
            || parsed.valid_uri_names().any(|uri| self.is_uri(uri))
    }
}

impl Followed for OperatorTls {
    fn files(&self) -> Vec<&Path> {
        let pair = [&*self.pair.certificate, &*self.pair.key];
        pair.into_iter().chain(self.authorities.as_deref()).collect()
    }

    fn reload(&self) {
        let certificate = self.pair.certificate.display();
        match read(&self.pair, self.authorities.as_deref(), &self.provider) {
            Ok(new) if new.digest == self.current.load().digest => {}
            Ok(new) => {
                self.current.store(Arc::new(new));
                tracing::info!(%certificate, "the certificate for operators was replaced");
            }
            Err(error) => tracing::error!(
                %certificate,
                error = %chain(&error),
                "the certificate for operators is not replaced, and the one before goes on being used",
            ),
        }
    }
}
