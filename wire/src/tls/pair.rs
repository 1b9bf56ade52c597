//! A certificate and its key, as two files in PEM.

use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error, InconsistentKeys};
use webpki::EndEntityCert;

/// Any user of the machine may read.
const OTHERS_READ: u32 = 0o004;

/// Where a certificate and its key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key of that certificate: PKCS #8, PKCS #1 or SEC 1, not encrypted.
    pub key: PathBuf,
}

/// Why a pair is not served.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// A file that is not there, or not for us.
    #[error("cannot read {}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is between the lines of dashes cannot be decoded. Says no more: it may be a key.
    #[error("{} is malformed PEM", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
    },
    /// No `CERTIFICATE` section.
    #[error("{} holds no certificate", path.display())]
    NoCertificate {
        /// Which file.
        path: PathBuf,
    },
    /// No section with a private key that can be read without a password.
    #[error("{} holds no private key that can be read without a password", path.display())]
    NoKey {
        /// Which file.
        path: PathBuf,
    },
    /// The certificate is none, or of a kind that is not supported.
    #[error("the certificate in {} cannot be used", path.display())]
    BadCertificate {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: Error,
    },
    /// The key is none, or of a kind that is not supported.
    #[error("the key in {} cannot be used", path.display())]
    BadKey {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: Error,
    },
    /// They are of two pairs.
    #[error("the key in {} is not that of the certificate in {}", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
}

/// A pair as it was found on disk.
#[derive(Clone, Debug)]
pub(super) struct Loaded {
    pub(super) key: Arc<CertifiedKey>,
    /// The host names that the certificate is for, in small letters; `*.` stands for one label.
    pub(super) names: Vec<Box<str>>,
    /// Of both files, to see a change.
    pub(super) digest: u64,
    /// Others than owner and group may read the key.
    pub(super) is_exposed: bool,
}

impl Pair {
    /// Reads both files and checks that they belong together.
    pub(super) fn load(&self, provider: &CryptoProvider) -> Result<Loaded, PairError> {
        let (certificate_pem, key_pem) = (read(&self.certificate)?, read(&self.key)?);
        let chain = self.chain(&certificate_pem)?;
        let key = self.private_key(&key_pem)?;
        let bad_certificate =
            |source| PairError::BadCertificate { path: self.certificate.clone(), source };
        let names = names(&chain[0]).map_err(|_| {
            bad_certificate(Error::InvalidCertificate(CertificateError::BadEncoding))
        })?;
        let key = CertifiedKey::from_der(chain, key, provider).map_err(|source| match source {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                PairError::Mismatch { certificate: self.certificate.clone(), key: self.key.clone() }
            }
            Error::InvalidCertificate(_) => bad_certificate(source),
            source => PairError::BadKey { path: self.key.clone(), source },
        })?;
        let mut digest = DefaultHasher::new();
        digest.write(&certificate_pem);
        digest.write(&key_pem);
        let is_exposed = std::fs::metadata(&self.key)
            .is_ok_and(|metadata| metadata.permissions().mode() & OTHERS_READ != 0);
        Ok(Loaded { key: Arc::new(key), names, digest: digest.finish(), is_exposed })
    }

    fn chain(&self, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, PairError> {
        let path = self.certificate.clone();
        match CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>() {
            Err(_) => Err(PairError::Malformed { path }),
            Ok(chain) if chain.is_empty() => Err(PairError::NoCertificate { path }),
            Ok(chain) => Ok(chain),
        }
    }

    fn private_key(&self, text: &[u8]) -> Result<PrivateKeyDer<'static>, PairError> {
        let path = self.key.clone();
        PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
            pem::Error::NoItemsFound => PairError::NoKey { path },
            _ => PairError::Malformed { path },
        })
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, PairError> {
    std::fs::read(path).map_err(|source| PairError::Io { path: path.to_owned(), source })
}

fn names(certificate: &CertificateDer<'_>) -> Result<Vec<Box<str>>, webpki::Error> {
    let parsed = EndEntityCert::try_from(certificate)?;
    Ok(parsed.valid_dns_names().map(|name| name.to_ascii_lowercase().into()).collect())
}
