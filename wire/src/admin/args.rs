//! How the door for operators is told who may come in: as written, then as checked.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use super::guard::{Anonymous, Guard, Role};
use super::tokens::{TokenError, Tokens};
use crate::listen::Address;
use crate::tls::mutual::{IdentityError, NotAName, OperatorTls, PeerName};
use crate::tls::{Pair, follow};

/// Who may use the admin interface. Without any of it, whoever is on this machine.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct AdminArgs {
    /// Those who have a token may use the admin interface: a file as `hatchway token new` writes it, followed while it
    /// changes.
    #[arg(long, value_name = "FILE")]
    pub admin_tokens: Option<PathBuf>,
    /// The admin interface is served by TLS with this certificate and its chain, in PEM. Followed while it changes.
    #[arg(long, value_name = "FILE", requires = "admin_tls_key")]
    pub admin_tls_cert: Option<PathBuf>,
    /// The private key of that certificate, in PEM without a password.
    #[arg(long, value_name = "FILE", requires = "admin_tls_cert")]
    pub admin_tls_key: Option<PathBuf>,
    /// Who vouches for certificates of operators, in PEM.
    #[arg(long, value_name = "FILE", requires_all = ["admin_tls_cert", "admin_allow"])]
    pub admin_tls_ca: Option<PathBuf>,
    /// The owner of a certificate with this name has this role, read or operate: a host name, *.domain, or a URI like
    /// spiffe://example.com/ops. Repeat for more.
    #[arg(long, value_name = "NAME=ROLE", requires = "admin_tls_ca", value_parser = allowed)]
    pub admin_allow: Vec<(PeerName, Role)>,
    /// Pages of this origin may change something, for example `https://console.example.com`. None may by default.
    #[arg(long = "admin-origin", value_name = "ORIGIN")]
    pub admin_origins: Vec<String>,
    /// Serve nothing but /healthz, /readyz and /metrics there, to whoever asks.
    #[arg(long, conflicts_with_all = ["admin_tokens", "admin_tls_ca"])]
    pub admin_health_only: bool,
}

fn allowed(text: &str) -> Result<(PeerName, Role), String> {
    let wrong = || format!("{text:?} is not NAME=ROLE, for example ops.example.com=operate");
    let (name, role) = text.rsplit_once('=').ok_or_else(wrong)?;
    Ok((name.parse().map_err(|error: NotAName| error.to_string())?, role.parse()?))
}

/// Why the door stays closed.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Anybody could change the rules.
    #[error(
        "--admin {0} can be reached from other machines, and nobody has said who may use it: give it \
         --admin-tokens FILE (hatchway token new NAME --role operate --file FILE) or --admin-tls-ca FILE, with \
         --admin-tls-cert FILE and --admin-tls-key FILE; or listen on 127.0.0.1:PORT or unix:/PATH; or serve health \
         and metrics alone with --admin-health-only"
    )]
    Open(Address),
    /// Tokens could be read by others on their way.
    #[error(
        "--admin {0} can be reached from other machines, and tokens would go there in plain text: give it \
         --admin-tls-cert FILE and --admin-tls-key FILE"
    )]
    Plain(Address),
    /// The file of tokens.
    #[error("--admin-tokens")]
    Tokens(#[from] TokenError),
    /// The certificate, its key, or the authorities.
    #[error("TLS of the admin interface")]
    Tls(#[from] IdentityError),
}

/// The same, checked.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    pub(super) address: Address,
    pub(super) guard: Arc<Guard>,
    pub(super) tls: Option<Arc<OperatorTls>>,
}

impl AdminArgs {
    /// Reads the files that are named, for a listener at `address`.
    ///
    /// # Errors
    /// [`AdminError`]: among others, where strangers could come in.
    pub fn check(&self, address: &Address) -> Result<AdminConfig, AdminError> {
        let is_local = match address {
            Address::Tcp(address) => address.ip().is_loopback(),
            Address::Unix(_) => true,
        };
        let names_somebody = self.admin_tokens.is_some() || self.admin_tls_ca.is_some();
        let anonymous = match (self.admin_health_only, names_somebody, is_local) {
            (true, _, _) => Anonymous::Measures,
            (false, true, _) => Anonymous::Probes,
            (false, false, true) => Anonymous::Operates,
            (false, false, false) => return Err(AdminError::Open(address.clone())),
        };
        if anonymous == Anonymous::Probes && !is_local && self.admin_tls_cert.is_none() {
            return Err(AdminError::Plain(address.clone()));
        }
        let tokens = self.admin_tokens.as_deref().map(Tokens::load).transpose()?;
        let pair = self.admin_tls_cert.clone().zip(self.admin_tls_key.clone());
        let pair = pair.map(|(certificate, key)| Pair { certificate, key });
        let tls =
            pair.map(|pair| OperatorTls::load(pair, self.admin_tls_ca.clone())).transpose()?;
        let guard = Guard {
            anonymous,
            tokens: tokens.map(Arc::new),
            certificates: self.admin_allow.clone(),
            origins: self.admin_origins.clone(),
            has_address: matches!(address, Address::Tcp(_)),
        };
        Ok(AdminConfig { address: address.clone(), guard: Arc::new(guard), tls: tls.map(Arc::new) })
    }
}

impl AdminConfig {
    /// Where it listens, as it was written.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Sees tokens and certificates change, for as long as it is polled.
    pub(super) fn follow(&self) -> impl Future<Output = ()> + use<> {
        let (tokens, tls) = (self.guard.tokens.clone(), self.tls.clone());
        async move {
            let unseen = |what: &str, seen: notify::Result<()>| {
                if let Err(error) = seen {
                    tracing::error!(%error, what, "changes of a file are not seen");
                }
            };
            let tokens = async {
                if let Some(tokens) = tokens {
                    unseen("tokens", follow(tokens).await);
                }
            };
            let tls = async {
                if let Some(tls) = tls {
                    unseen("certificates", follow(tls).await);
                }
            };
            tokio::join!(tokens, tls);
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Only {
        #[arg(long)]
        admin: Address,
        #[command(flatten)]
        args: AdminArgs,
    }

    fn check(words: &str) -> Result<Anonymous, String> {
        let only = Only::try_parse_from(std::iter::once("x").chain(words.split(' ')));
        let only = only.map_err(|error| error.to_string())?;
        let config = only.args.check(&only.admin).map_err(|error| error.to_string())?;
        Ok(config.guard.anonymous)
    }

    #[test]
    fn strangers_do_not_come_in_unless_it_is_said_how() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        Tokens::add(&path, "ci", Role::Read).unwrap();
        let tokens = format!("--admin-tokens {}", path.display());
        assert_eq!(check("--admin 127.0.0.1:1"), Ok(Anonymous::Operates));
        assert_eq!(check("--admin unix:/x"), Ok(Anonymous::Operates));
        assert_eq!(check(&format!("--admin 127.0.0.1:1 {tokens}")), Ok(Anonymous::Probes));
        assert_eq!(check("--admin 0.0.0.0:1 --admin-health-only"), Ok(Anonymous::Measures));
        for (words, why) in [
            ("--admin 0.0.0.0:1".to_owned(), "hatchway token new NAME"),
            ("--admin [::]:1".to_owned(), "--admin-health-only"),
            (format!("--admin 10.0.0.1:1 {tokens}"), "in plain text"),
            ("--admin 127.0.0.1:1 --admin-tokens /nowhere".to_owned(), "--admin-tokens"),
            ("--admin 127.0.0.1:1 --admin-allow a=admin".to_owned(), "is no role"),
            ("--admin 127.0.0.1:1 --admin-allow a.test=read".to_owned(), "--admin-tls-ca"),
        ] {
            let said = check(&words).unwrap_err();
            assert!(said.contains(why), "{words}: {said}");
        }
    }
}
