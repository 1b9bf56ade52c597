//! Clients that show who they are: whose signature their certificates have to have, and what functions are told of one.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hasher};
use std::path::PathBuf;
use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hatchway_proto::hex;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use sha2::{Digest, Sha256};
use webpki::EndEntityCert;

use crate::tls::mutual::{IdentityError, roots, setup};
use crate::tls::pair;

/// Who signs for the clients of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAuthorities {
    /// Their certificates, in PEM.
    pub file: PathBuf,
    /// A client without a certificate gets no session. One whose certificate is not good never gets one.
    pub are_required: bool,
}

/// What a handshake holds a client's certificate against, as it was read from disk.
pub(super) struct Verifier {
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
    /// Of the file, to see a change.
    pub(super) digest: u64,
}

impl ClientAuthorities {
    pub(super) fn load(&self, provider: &Arc<CryptoProvider>) -> Result<Verifier, IdentityError> {
        let pem = pair::read(&self.file)?;
        let roots = Arc::new(roots(&self.file, &pem)?);
        let mut builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
        if !self.are_required {
            builder = builder.allow_unauthenticated();
        }
        let mut digest = DefaultHasher::new();
        digest.write(&pem);
        Ok(Verifier { verifier: builder.build().map_err(setup)?, digest: digest.finish() })
    }
}

/// What functions are told of the certificate that a client has shown, in the words of two fields. Made once for a connection.
#[derive(Debug, PartialEq, Eq)]
pub struct Credential {
    /// The value of `Client-Cert` (RFC 9440 section 2.2): all of it, for who wants to read it.
    pub client_cert: Box<str>,
    /// The value of `X-Forwarded-Client-Cert`, as Envoy writes it: `Hash`, the SHA-256 of the certificate, then each `URI` and `DNS`
    /// that it is for.
    pub forwarded: Box<str>,
}

impl Credential {
    /// Of a certificate that was verified.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Self {
        let mut forwarded = "Hash=".to_owned();
        for eight in Sha256::digest(certificate).as_chunks().0 {
            forwarded.extend(hex::digits(u64::from_be_bytes(*eight)).map(char::from));
        }
        if let Ok(parsed) = EndEntityCert::try_from(certificate) {
            let uris = parsed.valid_uri_names().map(|name| ("URI", name));
            let hosts = parsed.valid_dns_names().map(|name| ("DNS", name));
            for (key, name) in uris.chain(hosts).filter(|(_, name)| is_plain(name)) {
                // In quotation marks whatever it is: a name may have a comma or a semicolon.
                write!(forwarded, ";{key}=\"{name}\"").expect("a string takes every write");
            }
        }
        let client_cert = format!(":{}:", BASE64_STANDARD.encode(certificate));
        Self { client_cert: client_cert.into(), forwarded: forwarded.into() }
    }
}

/// Whether a name can stand between quotation marks as it is. No sane one cannot; it is left out.
fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    #[test]
    fn a_certificate_is_told_by_its_hash_its_names_and_itself() {
        let mut params = CertificateParams::new(vec!["one.test".to_owned()]).unwrap();
        for uri in ["spiffe://test/ns/a;b", "spiffe://test/\"quoted\""] {
            params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
        }
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let told = Credential::of(made.der());
        let hash: String = Sha256::digest(made.der()).iter().map(|b| format!("{b:02x}")).collect();
        let names = "URI=\"spiffe://test/ns/a;b\";DNS=\"one.test\"";
        assert_eq!(*told.forwarded, *format!("Hash={hash};{names}"));
        let body: String =
            made.pem().lines().filter(|line| !line.starts_with("---")).map(str::trim).collect();
        assert_eq!(*told.client_cert, *format!(":{body}:"));
    }
}
