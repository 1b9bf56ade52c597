//! A certificate that signs itself, for all who are measured with TLS.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use super::Site;
use crate::child::{find, output_of};
use crate::error::{During as _, Result};

/// Where it is, as PEM.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Both in one file.
    pub(crate) both: PathBuf,
}

impl Certificate {
    /// Made when first asked for: P-256, which is what most sites have.
    pub(crate) fn of(site: &Site) -> Result<Self> {
        let file = |name| site.dir.join(name);
        let (certificate, key, both) = (file("cert.pem"), file("key.pem"), file("both.pem"));
        if !both.exists() {
            let mut command = Command::new(find("openssl")?);
            command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
            command.args(["-nodes", "-days", "30", "-subj", "/CN=localhost"]);
            command.args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]);
            output_of(command.arg("-keyout").arg(&key).arg("-out").arg(&certificate))?;
            // Some read it again when they have become somebody else.
            fs::set_permissions(&key, Permissions::from_mode(0o644)).at("open", &key)?;
            let parts = [&certificate, &key].map(|part| fs::read(part).at("read", part));
            let [first, second] = parts;
            fs::write(&both, [first?, second?].concat()).at("write", &both)?;
        }
        Ok(Self { certificate, key, both })
    }
}
