//! Clients that show certificates: made by openssl, shown by curl.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use hatchway_gateway::accept::Door;
use hatchway_gateway::config::{ClientCertificate, TlsConfig};
use tempfile::TempDir;

use crate::certificates::Authority;
use crate::world::{World, output};

/// Until something has happened that is on its way.
const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway that asks for certificates, and those who sign them.
struct Asking {
    world: World,
    authority: Authority,
    folder: TempDir,
}

impl Asking {
    /// Believes the authority called `ours`; `theirs` signs as well.
    fn start(client_certificate: ClientCertificate) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let settings = "[req]\ndistinguished_name=dn\n[dn]\n";
        fs::write(folder.path().join("openssl.cnf"), settings).expect("own folder");
        for name in ["ours", "theirs"] {
            make(&folder, name, &["-addext", "basicConstraints=critical,CA:TRUE"]);
        }
        let believed = folder.path().join("believed.pem");
        fs::copy(folder.path().join("ours.pem"), &believed).expect("own folder");
        let authority = Authority::new();
        authority.issue("first", &["a.test"]);
        let tls = TlsConfig {
            client_authorities: Some(believed),
            client_certificate,
            ..authority.config(&["first"])
        };
        let world = World::start_with(&tls, Door::default());
        Self { world, authority, folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A certificate for clients, signed by an authority.
    fn issue(&self, name: &str, authority: &str) {
        let [certificate, key] =
            ["pem", "key"].map(|kind| self.file(&format!("{authority}.{kind}")));
        let names = format!("subjectAltName=URI:spiffe://test/{name},DNS:{name}.test");
        let (certificate, key) = (certificate.to_string_lossy(), key.to_string_lossy());
        let signed = ["-CA", &certificate, "-CAkey", &key, "-addext", &names];
        let purpose = ["-addext", "extendedKeyUsage=clientAuth"];
        make(&self.folder, name, &[&signed[..], &purpose].concat());
    }

    /// What the function is asked with, where it is; `shows` is the certificate of who asks.
    fn ask(&self, shows: Option<&str>, arguments: &[&str]) -> Output {
        let address = self.world.tls.as_ref().expect("it was asked for").to_string();
        let port = address.rsplit(':').next().expect("a port").to_owned();
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "60", "--resolve", &format!("a.test:{port}:127.0.0.1")]);
        command.arg("--cacert").arg(self.authority.file()).args(arguments);
        if let Some(name) = shows {
            command.arg("--cert").arg(self.file(&format!("{name}.pem")));
            command.arg("--key").arg(self.file(&format!("{name}.key")));
        }
        output(command.arg(format!("https://a.test:{port}/site/head")), b"")
    }

    fn is_served(&self, shows: Option<&str>) -> bool {
        self.ask(shows, &["-f"]).status.success()
    }
}

/// A key, and a certificate for it.
fn make(folder: &TempDir, name: &str, arguments: &[&str]) {
    let [certificate, key] =
        ["pem", "key"].map(|kind| folder.path().join(format!("{name}.{kind}")));
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-days", "2", "-nodes", "-subj", &format!("/CN={name}")]);
    command.args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    command.arg("-config").arg(folder.path().join("openssl.cnf"));
    command.arg("-out").arg(certificate).arg("-keyout").arg(key);
    let made = output(command.args(arguments), b"");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// The lines of a head that speak of certificates, in lower case where the sender chose.
fn told(got: &Output) -> Vec<String> {
    let head = String::from_utf8_lossy(&got.stdout).into_owned();
    let names = head.lines().filter_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let name = name.to_ascii_lowercase();
        name.contains("client").then(|| format!("{name}: {value}"))
    });
    names.collect()
}

/// What nobody believes a client.
const FORGED: [&str; 8] = [
    "-H",
    "Client-Cert: :AAAA:",
    "-H",
    "Client_Cert: :AAAA:",
    "-H",
    "Client-Cert-Chain: :AAAA:",
    "-H",
    "X-Forwarded-Client-Cert: URI=spiffe://test/root",
];

#[test]
fn a_function_is_told_of_a_certificate_that_our_authority_has_signed_and_of_no_other() {
    let asking = Asking::start(ClientCertificate::Required);
    asking.issue("ada", "ours");
    asking.issue("eve", "theirs");
    let pem = fs::read_to_string(asking.file("ada.pem")).expect("it was made");
    let body: String = pem.lines().filter(|line| !line.starts_with("---")).collect();
    let mut sum = Command::new("openssl");
    sum.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(asking.file("ada.pem"));
    let sum = String::from_utf8(output(&mut sum, b"").stdout).expect("text");
    let sum = sum.trim().rsplit('=').next().expect("a sum").replace(':', "").to_lowercase();
    for protocol in ["--http1.1", "--http2"] {
        let got = asking.ask(Some("ada"), &[&[protocol][..], &FORGED].concat());
        let names = "URI=\"spiffe://test/ada\";DNS=\"ada.test\"";
        let expected = [
            format!("client-cert: :{body}:"),
            format!("x-forwarded-client-cert: Hash={sum};{names}"),
        ];
        assert_eq!(told(&got), expected, "{protocol}: {got:?}");
        for shows in [Some("eve"), None] {
            let got = asking.ask(shows, &[protocol]);
            assert!(!got.status.success() && got.stdout.is_empty(), "{protocol}: {got:?}");
        }
    }
}

#[test]
fn who_need_not_show_a_certificate_is_served_without_and_one_that_is_not_good_is_refused() {
    let asking = Asking::start(ClientCertificate::Optional);
    asking.issue("ada", "ours");
    asking.issue("eve", "theirs");
    assert_eq!(told(&asking.ask(Some("ada"), &FORGED)).len(), 2);
    let got = asking.ask(None, &FORGED);
    assert!(got.stdout.starts_with(b"GET /site/head"), "{got:?}");
    assert_eq!(told(&got), [""; 0]);
    assert!(!asking.is_served(Some("eve")));
}

#[test]
fn authorities_are_replaced_while_they_are_asked() {
    let asking = Asking::start(ClientCertificate::Required);
    asking.issue("ada", "ours");
    asking.issue("eve", "theirs");
    assert!(asking.is_served(Some("ada")) && !asking.is_served(Some("eve")));
    let believed = asking.file("believed.pem");
    fs::write(&believed, "nobody").expect("own folder");
    fs::copy(asking.file("theirs.pem"), asking.file("new.pem")).expect("own folder");
    fs::rename(asking.file("new.pem"), &believed).expect("the same folder");
    let until = Instant::now() + PATIENCE;
    while !asking.is_served(Some("eve")) {
        assert!(Instant::now() < until, "the new authority is not believed");
    }
    assert!(!asking.is_served(Some("ada")), "the old one is not believed any more");
}

#[test]
fn nothing_is_resumed_that_began_with_a_certificate() {
    let asking = Asking::start(ClientCertificate::Optional);
    asking.issue("ada", "ours");
    let address = asking.world.tls.as_ref().expect("it was asked for").to_string();
    let [certificate, key, session] =
        ["ada.pem", "ada.key", "session"].map(|name| asking.file(name).display().to_string());
    for version in ["-tls1_2", "-tls1_3"] {
        let script = format!(
            "ask() {{ printf 'GET /site/a HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n' | \
             openssl s_client -connect {address} {version} -ign_eof \"$@\"; }}; \
             ask -cert {certificate} -key {key} -sess_out {session}; ask -sess_in {session}; true"
        );
        let got = output(Command::new("sh").args(["-c", &script]), b"");
        let text = String::from_utf8_lossy(&got.stdout).into_owned();
        assert!(text.contains("hello") && !text.contains("Reused, TLS"), "{version}: {text}");
    }
    assert_eq!(asking.world.counted("gateway_tls_handshakes_total", "resumed"), 0.0);
}
