//! Who we are to a gateway, and how we know that it is one: a token, certificates.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use crate::failure::Failure;

/// Holds the token, where no file does.
const TOKEN: &str = "HATCHWAY_TOKEN";

/// What is shown to a gateway.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct AccessArgs {
    /// A file with our token for the admin API; without it, the token in HATCHWAY_TOKEN.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Who vouches for the certificate of an admin API at https://..., in PEM.
    #[arg(long, value_name = "FILE", env = "HATCHWAY_ADMIN_CA", hide_env = true)]
    admin_ca: Option<PathBuf>,
    /// Our certificate for the admin API, in PEM.
    #[arg(
        long,
        value_name = "FILE",
        env = "HATCHWAY_ADMIN_CERT",
        hide_env = true,
        requires = "admin_key"
    )]
    admin_cert: Option<PathBuf>,
    /// The key of our certificate, in PEM.
    #[arg(long, value_name = "FILE", env = "HATCHWAY_ADMIN_KEY", hide_env = true)]
    admin_key: Option<PathBuf>,
}

impl AccessArgs {
    /// The token, where there is one.
    ///
    /// # Errors
    /// A file that cannot be read, or holds nothing.
    pub(crate) fn token(&self) -> Result<Option<String>, Failure> {
        let Some(path) = &self.token_file else {
            return Ok(std::env::var(TOKEN).ok().filter(|token| !token.is_empty()));
        };
        let text = read(path)?;
        let token = String::from_utf8_lossy(&text).trim().to_owned();
        if token.is_empty() || token.contains(char::is_whitespace) {
            return Err(Failure::Settings(format!("{} holds no token", path.display())));
        }
        Ok(Some(token))
    }

    /// TLS for `base`: we trust nobody by default.
    ///
    /// # Errors
    /// Files that are missing, or hold something else.
    pub(crate) fn tls(&self, base: &str) -> Result<TlsConfig, Failure> {
        let Some(authority) = &self.admin_ca else {
            return Err(Failure::Settings(format!(
                "{base}: say with --admin-ca who vouches for it"
            )));
        };
        let roots = certificates(authority)?;
        let client = match (&self.admin_cert, &self.admin_key) {
            (Some(certificate), Some(key)) => {
                let text = read(key)?;
                let key = PrivateKey::from_pem(&text).map_err(|_| holds_no("private key", key))?;
                Some(ClientCert::new_with_certs(&certificates(certificate)?, key))
            }
            _ => None,
        };
        Ok(TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(default_provider()))
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .client_cert(client)
            .build())
    }
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, Failure> {
    let text = read(path)?;
    let mut found = Vec::new();
    for item in parse_pem(&text) {
        if let PemItem::Certificate(certificate) =
            item.map_err(|_| holds_no("certificate", path))?
        {
            found.push(certificate);
        }
    }
    if found.is_empty() { Err(holds_no("certificate", path)) } else { Ok(found) }
}

fn holds_no(what: &str, path: &Path) -> Failure {
    Failure::Settings(format!("{} holds no {what} in PEM", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let what = || format!("could not read {}", path.display());
    std::fs::read(path).map_err(|source| Failure::Io { what: what(), source })
}
