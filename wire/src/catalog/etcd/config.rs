//! Where etcd is, and who we are to it: as written on a command line, then as checked.

use std::path::{Path, PathBuf};
use std::time::Duration;

use etcd_client::{Certificate, ConnectOptions, Identity, TlsOptions};
use hatchway_proto::catalog::Keys;
use hatchway_proto::catalog::keys::DEFAULT_PREFIX;

/// A member that is up answers on the same network within milliseconds.
const CONNECT: Duration = Duration::from_secs(3);

/// A member that is frozen, or a link that swallows packets, is found out within twice this.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Where etcd is.
#[derive(Clone, Debug, clap::Args)]
pub struct EtcdArgs {
    /// The rules, in etcd: one or more members, as http://HOST:2379 or https://...
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    pub etcd: Vec<String>,
    /// Where the rules stand in etcd.
    #[arg(long, alias = "prefix", value_name = "PREFIX", default_value = DEFAULT_PREFIX, requires = "etcd")]
    pub etcd_prefix: Keys,
    /// Who we are to etcd.
    #[arg(long, value_name = "NAME", requires_all = ["etcd", "etcd_password_file"])]
    pub etcd_user: Option<String>,
    /// A file with the password of that user.
    #[arg(long, value_name = "FILE", requires = "etcd_user")]
    pub etcd_password_file: Option<PathBuf>,
    /// Certificates, in PEM, of those who vouch for etcd.
    #[arg(long, value_name = "FILE", requires = "etcd")]
    pub etcd_ca: Option<PathBuf>,
    /// Our certificate, in PEM.
    #[arg(long, value_name = "FILE", requires_all = ["etcd", "etcd_key"])]
    pub etcd_cert: Option<PathBuf>,
    /// The key of our certificate, in PEM.
    #[arg(long, value_name = "FILE", requires = "etcd_cert")]
    pub etcd_key: Option<PathBuf>,
}

/// Where etcd is, checked.
#[derive(Clone, Debug)]
pub struct EtcdConfig {
    /// Its members.
    pub endpoints: Vec<String>,
    /// Where the rules stand.
    pub keys: Keys,
    pub(super) options: ConnectOptions,
}

/// What is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub enum EtcdConfigError {
    /// A file that is named cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Encryption is asked for by the address or by a certificate, never by one without the other.
    #[error("--etcd {0}: with --etcd-ca or --etcd-cert the address starts with https://")]
    PlainAddress(String),
    /// We trust nobody by default.
    #[error("--etcd {0}: for https:// say with --etcd-ca who vouches for etcd")]
    NoAuthority(String),
    /// No address.
    #[error("--etcd {0:?} is no address: write http://127.0.0.1:2379")]
    NoAddress(String),
}

impl EtcdArgs {
    /// Reads the files that are named.
    ///
    /// # Errors
    /// [`EtcdConfigError`].
    pub fn check(&self) -> Result<EtcdConfig, EtcdConfigError> {
        for endpoint in &self.etcd {
            let is_encrypted = endpoint.starts_with("https://");
            let wants_tls = self.etcd_ca.is_some() || self.etcd_cert.is_some();
            if !is_encrypted && !endpoint.starts_with("http://") {
                return Err(EtcdConfigError::NoAddress(endpoint.clone()));
            } else if wants_tls && !is_encrypted {
                return Err(EtcdConfigError::PlainAddress(endpoint.clone()));
            } else if is_encrypted && self.etcd_ca.is_none() {
                return Err(EtcdConfigError::NoAuthority(endpoint.clone()));
            }
        }
        Ok(EtcdConfig {
            endpoints: self.etcd.clone(),
            keys: self.etcd_prefix.clone(),
            options: self.options()?,
        })
    }

    fn options(&self) -> Result<ConnectOptions, EtcdConfigError> {
        // A member without its leader ends the watch, and we go to another.
        let mut options = ConnectOptions::new()
            .with_connect_timeout(CONNECT)
            .with_keep_alive(KEEP_ALIVE, KEEP_ALIVE)
            .with_keep_alive_while_idle(true)
            .with_require_leader(true)
            .with_auto_token_refresh(true);
        if let (Some(user), Some(path)) = (&self.etcd_user, &self.etcd_password_file) {
            let password = read(path)?;
            options = options.with_user(user, password.trim_end_matches(['\r', '\n']));
        }
        if let Some(path) = &self.etcd_ca {
            let mut tls = TlsOptions::new().ca_certificate(Certificate::from_pem(read(path)?));
            if let (Some(certificate), Some(key)) = (&self.etcd_cert, &self.etcd_key) {
                tls = tls.identity(Identity::from_pem(read(certificate)?, read(key)?));
            }
            options = options.with_tls(tls);
        }
        Ok(options)
    }
}

fn read(path: &Path) -> Result<String, EtcdConfigError> {
    std::fs::read_to_string(path)
        .map_err(|source| EtcdConfigError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        etcd: EtcdArgs,
    }

    fn check(words: &[&str]) -> Result<EtcdConfig, String> {
        let words = Words::try_parse_from([&["x"], words].concat()).map_err(|e| e.to_string())?;
        words.etcd.check().map_err(|error| error.to_string())
    }

    #[test]
    fn several_members_and_another_prefix_can_be_named() {
        let config =
            check(&["--etcd", "http://a:2379,http://b:2379", "--etcd-prefix", "/x"]).unwrap();
        assert_eq!(config.endpoints, ["http://a:2379", "http://b:2379"]);
        assert_eq!(config.keys.prefix(), "/x/");
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        for (words, part) in [
            (&["--etcd", "a:2379"][..], "is no address"),
            (&["--etcd", "https://a:2379"], "--etcd-ca"),
            (&["--etcd", "http://a", "--etcd-ca", "/dev/null"], "starts with https://"),
            (&["--etcd", "http://a", "--etcd-user", "u"], "--etcd-password-file"),
            (&["--etcd", "http://a", "--etcd-prefix", "x"], "starts with a slash"),
            (&["--etcd", "https://a", "--etcd-ca", "/nowhere"], "cannot read /nowhere"),
        ] {
            let error = check(words).unwrap_err();
            assert!(error.contains(part), "{words:?}: {error}");
        }
    }
}
