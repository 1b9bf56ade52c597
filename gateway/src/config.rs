//! How a gateway is told what to do.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use hatchway_proto::units::parse_bytes;
use hatchway_wire::admin::AdminArgs;
use hatchway_wire::catalog::SourceArgs;
use hatchway_wire::link::LinkTlsArgs;
use hatchway_wire::listen::{self, Address, Listener};
use hatchway_wire::member;
use hatchway_wire::process::Exit;
use hatchway_wire::tls::{self, ClientAuthorities, Pair};
use hatchway_wire::trace::TraceConfig;

use crate::accept::DoorConfig;
use crate::access::AccessConfig;
use crate::registry::allow::Allowed;

/// Level one of Hatchway: routes requests to nodes. Keeps nothing, needs no privilege.
#[derive(Clone, Debug, Parser)]
#[command(name = "hatchway-gateway", version)]
pub struct Config {
    /// Where clients connect.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: Address,
    #[command(flatten)]
    pub tls: TlsConfig,
    /// Where operators connect: IP:PORT or unix:/path, never on an address that clients reach.
    #[arg(long, default_value = "127.0.0.1:8081")]
    pub admin: Address,
    #[command(flatten)]
    pub operators: AdminArgs,
    #[command(flatten)]
    pub source: SourceArgs,
    /// What operators call this gateway, in etcd too; HOST:PORT by default.
    #[arg(long, value_parser = member::parse_name)]
    pub name: Option<String>,
    /// A folder of this gateway's own, for what it has applied: with it, a start does not need etcd.
    #[arg(long, value_name = "DIR", requires = "etcd")]
    pub state: Option<PathBuf>,
    /// A node: IP:PORT or unix:/path. Repeat for more. With --etcd and none of these, those that are registered there.
    #[arg(long = "node", required_unless_present = "etcd")]
    pub nodes: Vec<Address>,
    /// Where registered nodes may be: 10.0.0.0/8, 10.0.0.0/8@8090-8099 or unix:/folder. Repeat for more; anywhere by default,
    /// as far as links there are safe.
    #[arg(long = "node-allow", value_name = "WHERE", requires = "etcd")]
    pub node_allow: Vec<Allowed>,
    #[command(flatten)]
    pub link: LinkTlsArgs,
    #[command(flatten)]
    pub door: DoorConfig,
    #[command(flatten)]
    pub access: AccessConfig,
    #[command(flatten)]
    pub trace: TraceConfig,
    /// Heads of recent requests that each core keeps in memory, without secrets, for operators who ask what a change would do
    /// (hatchway apply --rehearse); 0B keeps none.
    #[arg(long, value_name = "BYTES", default_value = "256KiB", value_parser = parse_bytes)]
    pub keep_heads: u64,
    /// Threads, each with its own listener; as many as there are cores by default.
    #[arg(long)]
    pub cores: Option<usize>,
    /// How long it goes on serving once it is told to stop, not ready any more, so that whoever spreads requests over gateways has
    /// time to see it; in seconds.
    #[arg(long, default_value_t = 0)]
    pub leave_seconds: u64,
    /// How long running requests may take to finish once the gateway is told to stop, in seconds.
    #[arg(long, default_value_t = 30)]
    pub drain_seconds: u64,
}

impl Config {
    /// What operators call this gateway, which listens on `address`.
    pub fn name(&self, address: &Address) -> String {
        self.name.clone().unwrap_or_else(|| member::default_name(address))
    }
}

/// Encrypted connections from clients. Each certificate has its key, in the same order.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct TlsConfig {
    /// Where clients connect by TLS.
    #[arg(
        id = "tls_listen",
        long = "tls-listen",
        value_name = "ADDR",
        requires = "tls_cert",
        requires = "tls_key"
    )]
    pub listen: Option<Address>,
    /// A certificate with its chain, in PEM. Repeat for more: clients get the one of the host they name, or else the first.
    /// Followed while it changes.
    #[arg(id = "tls_cert", long = "tls-cert", value_name = "FILE", requires = "tls_listen")]
    pub certificates: Vec<PathBuf>,
    /// The private key of a certificate, in PEM without a password.
    #[arg(id = "tls_key", long = "tls-key", value_name = "FILE", requires = "tls_listen")]
    pub keys: Vec<PathBuf>,
    /// Clients show a certificate that one of these authorities has signed, in PEM. Functions are told of it by Client-Cert
    /// (RFC 9440) and X-Forwarded-Client-Cert. Followed while it changes.
    #[arg(
        id = "tls_client_ca",
        long = "tls-client-ca",
        value_name = "FILE",
        requires = "tls_listen"
    )]
    pub client_authorities: Option<PathBuf>,
    /// Whether a client without a certificate is served.
    #[arg(
        id = "tls_client_cert",
        long = "tls-client-cert",
        value_enum,
        default_value_t,
        requires = "tls_client_ca"
    )]
    pub client_certificate: ClientCertificate,
}

/// What is asked of clients where there are authorities that sign for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ClientCertificate {
    /// Whoever has none gets no connection.
    #[default]
    Required,
    /// Whoever has none is served like anybody: a function sees the difference. One that is not good is refused.
    Optional,
}

/// Every certificate has a key, and nobody can guess which.
#[derive(Debug, thiserror::Error)]
#[error(
    "--tls-cert is there {certificates} times and --tls-key {keys} times: each certificate has its key, in the same order"
)]
struct Unpaired {
    certificates: usize,
    keys: usize,
}

/// A port for TLS that is bound, and what is spoken there.
#[derive(Debug)]
pub struct TlsPort {
    listeners: Vec<Listener>,
    server: tls::Server,
    /// As bound.
    pub address: Address,
}

impl TlsConfig {
    /// Reads the certificates and binds the port for each core; nothing where none was asked for.
    ///
    /// # Errors
    /// What is wrong with the files or the address.
    pub fn open(&self, cores: usize) -> Result<Option<TlsPort>, Exit> {
        let Some(address) = &self.listen else { return Ok(None) };
        let pairs = self.pairs().map_err(Exit::config)?;
        let server = tls::Server::load(pairs, self.authorities()).map_err(Exit::config)?;
        let (listeners, address) = listen::bind(address, cores)
            .map_err(|error| Exit::unavailable(format!("cannot listen on {address}"), error))?;
        Ok(Some(TlsPort { listeners, server, address }))
    }

    fn authorities(&self) -> Option<ClientAuthorities> {
        let are_required = self.client_certificate == ClientCertificate::Required;
        let file = self.client_authorities.clone()?;
        Some(ClientAuthorities { file, are_required })
    }

    fn pairs(&self) -> Result<Vec<Pair>, Unpaired> {
        let (certificates, keys) = (self.certificates.len(), self.keys.len());
        if certificates != keys {
            return Err(Unpaired { certificates, keys });
        }
        let pairs = self.certificates.iter().cloned().zip(self.keys.iter().cloned());
        Ok(pairs.map(|(certificate, key)| Pair { certificate, key }).collect())
    }
}

impl TlsPort {
    /// What a port takes for each core.
    pub(crate) fn into_parts(self) -> (Vec<Listener>, tls::Server) {
        (self.listeners, self.server)
    }

    /// Sees certificates change, for as long as it is polled.
    pub fn follow(&self) -> impl Future<Output = ()> + use<> {
        let server = Arc::new(self.server.clone());
        async move {
            if let Err(error) = tls::follow(server).await {
                tracing::error!(%error, "changes of the certificates are not seen");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Result<TlsConfig, clap::Error> {
        #[derive(Debug, Parser)]
        struct Only {
            #[command(flatten)]
            tls: TlsConfig,
        }
        Only::try_parse_from(std::iter::once("gateway").chain(words.split(' ')))
            .map(|only| only.tls)
    }

    #[test]
    fn certificates_and_keys_go_in_pairs_and_with_a_port() {
        let tls = parsed(
            "--tls-listen 127.0.0.1:0 --tls-cert a.crt --tls-key a.key --tls-cert b.crt --tls-key b.key",
        )
        .unwrap();
        let pairs = tls.pairs().unwrap();
        let files: Vec<_> =
            pairs.iter().map(|pair| (pair.certificate.clone(), pair.key.clone())).collect();
        assert_eq!(files, [("a.crt".into(), "a.key".into()), ("b.crt".into(), "b.key".into())]);
        let odd = "--tls-listen 127.0.0.1:0 --tls-cert a.crt --tls-key a.key --tls-cert b.crt";
        let said = parsed(odd).unwrap().pairs().unwrap_err().to_string();
        assert!(said.contains("--tls-cert is there 2 times and --tls-key 1 times"), "{said}");
        assert!(parsed("--tls-listen 127.0.0.1:0").is_err());
        assert!(parsed("--tls-cert a.crt --tls-key a.key").is_err());
    }

    #[test]
    fn clients_are_asked_for_certificates_where_somebody_signs_for_them() {
        let tls = "--tls-listen 127.0.0.1:0 --tls-cert a.crt --tls-key a.key";
        let asked = |more: &str| parsed(&format!("{tls}{more}")).map(|tls| tls.authorities());
        assert_eq!(asked("").unwrap(), None);
        for (more, are_required) in [
            (" --tls-client-ca ca.pem", true),
            (" --tls-client-ca ca.pem --tls-client-cert required", true),
            (" --tls-client-ca ca.pem --tls-client-cert optional", false),
        ] {
            let file = "ca.pem".into();
            assert_eq!(asked(more).unwrap(), Some(ClientAuthorities { file, are_required }));
        }
        assert!(asked(" --tls-client-cert optional").is_err(), "nobody signs for them");
    }
}
