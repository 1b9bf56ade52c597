//! An authority of its own for each test, and certificates that it signed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};

/// What a gateway is called by default.
pub const GATEWAY: &str = "gateway.hatchway.internal";
/// And a node.
pub const NODE: &str = "node.hatchway.internal";

/// Signs whatever it is asked to.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

/// A certificate to be made.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'n> {
    /// A host name or a URI.
    pub name: &'n str,
    /// Its time was over years ago.
    pub is_expired: bool,
}

impl<'n> From<&'n str> for Shown<'n> {
    fn from(name: &'n str) -> Self {
        Self { name, is_expired: false }
    }
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// When there are no random numbers or no temporary folder.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Authorities of one name are told apart by signatures alone.
        params.distinguished_name.push(DnType::CommonName, folder.path().display().to_string());
        let key = KeyPair::generate().expect("random numbers");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("the names are good");
        // A node reads its files again as another user.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("own folder");
        fs::write(folder.path().join("ca.pem"), issuer.pem()).expect("own folder");
        Self { issuer, folder }
    }

    /// What trusts it.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Writes `FILE.pem` and `FILE.key`, as tools do: beside, then renamed over what was there.
    ///
    /// # Panics
    /// When the name is none.
    pub fn issue<'n>(&self, file: &str, shown: impl Into<Shown<'n>>) {
        let Shown { name, is_expired } = shown.into();
        let mut params = CertificateParams::default();
        let name = name.try_into().expect("a name is ASCII");
        params.subject_alt_names =
            vec![if file.contains("uri") { SanType::URI(name) } else { SanType::DnsName(name) }];
        if is_expired {
            params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate().expect("random numbers");
        let certificate = params.signed_by(&key, &self.issuer).expect("the names are good");
        replace(&self.folder.path().join(format!("{file}.key")), &key.serialize_pem());
        replace(&self.folder.path().join(format!("{file}.pem")), &certificate.pem());
    }

    /// What a program is told that shows `file` and trusts `authority`.
    pub fn words(&self, file: &str, authority: &Self) -> Vec<String> {
        let path = |kind| self.folder.path().join(format!("{file}.{kind}")).display().to_string();
        let ca = authority.file().display().to_string();
        ["--link-tls-cert", &path("pem"), "--link-tls-key", &path("key"), "--link-tls-ca", &ca]
            .map(str::to_owned)
            .into()
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).expect("own folder");
    fs::rename(&new, path).expect("the same folder");
}
