//! Certificates for tests: one authority, and pairs that it signed, in a folder of their own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hatchway_gateway::config::TlsConfig;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

/// The authority, and where its pairs are.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "authority of the test");
        let key = KeyPair::generate().expect("random numbers");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("the names are good");
        let folder = TempDir::new().expect("a temporary folder");
        fs::write(folder.path().join("ca.pem"), issuer.pem()).expect("own folder");
        Self { issuer, folder }
    }

    /// What a client trusts.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The certificate and the key called `name`.
    pub(crate) fn files(&self, name: &str) -> [PathBuf; 2] {
        ["crt", "key"].map(|kind| self.folder.path().join(format!("{name}.{kind}")))
    }

    /// Issues one for `hosts`, written as tools do: beside, then renamed over what was there.
    pub(crate) fn issue(&self, name: &str, hosts: &[&str]) {
        let hosts: Vec<_> = hosts.iter().map(|&host| host.to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("the names are good");
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate().expect("random numbers");
        let certificate = params.signed_by(&key, &self.issuer).expect("the names are good");
        let [to, key_to] = self.files(name);
        replace(&key_to, &key.serialize_pem());
        replace(&to, &certificate.pem());
    }

    /// How a gateway is told of these pairs.
    pub(crate) fn config(&self, names: &[&str]) -> TlsConfig {
        let listen = Some("127.0.0.1:0".parse().expect("an address"));
        let [certificates, keys] =
            [0, 1].map(|kind| names.iter().map(|name| self.files(name)[kind].clone()).collect());
        TlsConfig { listen, certificates, keys, ..TlsConfig::default() }
    }
}

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).expect("own folder");
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).expect("own file");
    fs::rename(&new, path).expect("the same folder");
}
