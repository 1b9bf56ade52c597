//! TLS: curl, openssl, Python and h2load, and the clients that get none.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use hatchway_gateway::accept::Door;

use crate::certificates::Authority;
use crate::world::{LARGE, World, output};

/// Until something has happened that is on its way.
const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway with certificates for `a.test` and `*.b.test`.
struct Encrypted {
    world: World,
    authority: Authority,
}

impl Encrypted {
    fn start() -> Self {
        Self::start_with(Door::default())
    }

    fn start_with(door: Door) -> Self {
        let authority = Authority::new();
        authority.issue("first", &["a.test", "localhost"]);
        authority.issue("second", &["*.b.test"]);
        let world = World::start_with(&authority.config(&["first", "second"]), door);
        Self { world, authority }
    }

    fn address(&self) -> String {
        self.world.tls.as_ref().expect("it was asked for").to_string()
    }

    fn port(&self) -> String {
        let address = self.address();
        address.rsplit(':').next().expect("a port").to_owned()
    }

    fn url(&self, path: &str) -> String {
        format!("https://a.test:{}{path}", self.port())
    }

    /// What is said to somebody who was shown the certificate of one host, and asks for another over the same connection.
    fn asks_for(&self, sni: &str, protocol: &str, host: &str) -> u16 {
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "60", "-o", "-", "-w", "\\n%{http_code}", protocol]);
        command.arg("--cacert").arg(self.authority.file());
        command.args(["--connect-to", &format!("::127.0.0.1:{}", self.port())]);
        command.args(["-H", &format!("Host: {host}"), &format!("https://{sni}/site/")]);
        let text = String::from_utf8(output(&mut command, b"").stdout).expect("text");
        text.rsplit('\n').next().and_then(|status| status.parse().ok()).expect("a status")
    }

    fn curl(&self, arguments: &[&str], path: &str, input: &[u8]) -> Output {
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "60", "--resolve"]);
        command.arg(format!("a.test:{}:127.0.0.1", self.port()));
        command.arg("--cacert").arg(self.authority.file()).args(arguments);
        output(command.arg(self.url(path)), input)
    }

    fn openssl(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &self.address(), "-CAfile"]);
        let got = output(command.arg(self.authority.file()).args(arguments), b"");
        let text = [got.stdout, got.stderr].concat();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Runs a script that finds the port and the authority's file in its arguments.
    fn python(&self, script: &str) -> Output {
        let mut command = Command::new("python3");
        output(command.args(["-c", script, &self.port()]).arg(self.authority.file()), b"")
    }

    fn handshakes(&self, result: &str) -> f64 {
        self.world.counted("gateway_tls_handshakes_total", result)
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
        stream
    }
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        std::thread::yield_now();
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn curl_speaks_both_versions_and_the_function_hears_of_https() {
    let tls = Encrypted::start();
    for (option, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let got = tls.curl(&[option, "-w", "%{http_version} %{http_code}"], "/site/head", b"");
        let text = stdout(&got).to_ascii_lowercase();
        assert!(text.ends_with(&format!("{version} 200")), "{got:?}");
        assert!(text.contains("\r\nx-forwarded-proto: https\r\n"), "{text}");
    }
    let got = tls.curl(&[], "/elsewhere", b"");
    assert!(stdout(&got).contains("no-route"), "{got:?}");
}

#[test]
fn megabytes_pass_both_ways() {
    let tls = Encrypted::start();
    let body: Vec<u8> = (0..=250).cycle().take(LARGE).collect();
    for version in ["--http1.1", "--http2"] {
        let got = tls.curl(&[version, "--data-binary", "@-"], "/site/echo", &body);
        assert!(got.stdout == body, "{version}: {} bytes, {:?}", got.stdout.len(), got.stderr);
        // Slower than the gateway: its records wait for the socket.
        let got = tls.curl(&[version, "--limit-rate", "40M"], "/site/large", b"");
        assert!(got.stdout == body, "{version}: {} bytes, {:?}", got.stdout.len(), got.stderr);
    }
}

#[test]
fn the_certificate_is_that_of_the_host_that_is_named() {
    let tls = Encrypted::start();
    for (arguments, subject) in [
        (&["-servername", "a.test"][..], "CN = first"),
        (&["-servername", "x.b.test"], "CN = second"),
        (&["-servername", "nobody.test"], "CN = first"),
        (&["-noservername"], "CN = first"),
    ] {
        let text = tls.openssl(arguments);
        assert!(text.contains(&format!("subject={subject}")), "{arguments:?}: {text}");
        assert!(text.contains("Verify return code: 0 (ok)"), "{arguments:?}: {text}");
    }
}

#[test]
fn versions_from_1_2_on_are_spoken_and_none_before() {
    let tls = Encrypted::start();
    for version in ["-tls1_2", "-tls1_3"] {
        let text = tls.openssl(&[version, "-alpn", "h2,http/1.1"]);
        assert!(text.contains("ALPN protocol: h2"), "{version}: {text}");
        assert!(text.contains("Secure Renegotiation IS"), "{version}: {text}");
    }
    let old = tls.openssl(&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
    assert!(old.contains("SSL alert number") && old.contains("Cipher is (NONE)"), "{old}");
    let other = tls.openssl(&["-alpn", "smtp"]);
    assert!(other.contains("no application protocol"), "{other}");
}

#[test]
fn a_session_is_resumed_by_its_ticket_in_both_versions() {
    let tls = Encrypted::start();
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let path = file.path().to_str().expect("a plain path");
    for version in ["-tls1_2", "-tls1_3"] {
        // Tickets of 1.3 come behind the handshake: a request is answered after them.
        let script = format!(
            "printf 'GET /site/a HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n' | \
             openssl s_client -connect {} {version} -ign_eof -sess_out {path} && \
             printf 'GET /site/a HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n' | \
             openssl s_client -connect {} {version} -ign_eof -sess_in {path}",
            tls.address(),
            tls.address(),
        );
        let text = stdout(&output(Command::new("sh").args(["-c", &script]), b""));
        assert!(text.contains("Reused, TLS"), "{version}: {text}");
        assert_eq!(text.matches("hello").count(), 2, "{version}: {text}");
    }
    assert_eq!((tls.handshakes("full"), tls.handshakes("resumed")), (2.0, 2.0));
}

#[test]
fn the_end_is_announced_and_the_clients_announcement_is_understood() {
    let tls = Encrypted::start();
    let got = tls.python(
        r#"
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
def connect():
    raw = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    raw.settimeout(20)
    # An end that is not announced is an error.
    return context.wrap_socket(raw, server_hostname="a.test", suppress_ragged_eofs=False)
def get(stream, extra):
    stream.sendall(b"GET /site/a HTTP/1.1\r\nHost: a.test\r\n" + extra + b"\r\n")
closing = connect()
get(closing, b"Connection: close\r\n")
answer = b""
while part := closing.recv(65536):
    answer += part
assert answer.endswith(b"hello"), answer
kept = connect()
for _ in range(3):
    get(kept, b"")
    answer = b""
    while not answer.endswith(b"hello"):
        answer += kept.recv(65536)
# Waits for the gateway's own announcement.
kept.unwrap()
for size in (1, 7, 4096):
    small = connect()
    request = b"POST /site/echo HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9000\r\n\r\n" + b"x" * 9000
    for start in range(0, len(request), size):
        small.send(request[start:start + size])
    answer = b""
    while not answer.endswith(b"x" * 9000):
        answer += small.recv(65536)
print("well")
"#,
    );
    assert_eq!(stdout(&got), "well\n", "{}", String::from_utf8_lossy(&got.stderr));
}

#[test]
fn h2load_gets_every_answer() {
    let tls = Encrypted::start();
    let url = format!("https://{}/site/a", tls.address());
    for version in [&["-m", "100"][..], &["--h1"]] {
        let arguments = ["-n", "2000", "-c", "8"].iter().chain(version).copied();
        let got = output(Command::new("h2load").args(arguments).arg(&url), b"");
        let text = stdout(&got);
        assert!(text.contains("2000 succeeded, 0 failed, 0 errored"), "{version:?}: {text}");
    }
}

#[test]
fn a_request_without_tls_is_told_to_use_it() {
    let tls = Encrypted::start();
    let mut stream = tls.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers and closes");
    assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{text}");
    assert!(text.contains("this port speaks TLS: use https"), "{text}");
    eventually("it is counted", || tls.handshakes("plain") == 1.0);
}

#[test]
fn a_slow_handshake_costs_a_place_and_ends() {
    let door = Door {
        connections_per_core: 1,
        handshake_clock: Duration::from_millis(300),
        ..Door::default()
    };
    let tls = Encrypted::start_with(door);
    let mut slow = tls.connect();
    // The first bytes of a handshake that does not go on.
    slow.write_all(&[22, 3, 1, 2, 0, 1]).expect("it reads");
    assert_eq!(slow.read(&mut [0; 16]).expect("it is closed"), 0);
    eventually("it is counted", || tls.handshakes("slow") == 1.0);
    eventually("the place is free", || stdout(&tls.curl(&[], "/site/a", b"")) == "hello");
}

#[test]
fn garbage_is_answered_by_an_alert() {
    let tls = Encrypted::start();
    let mut stream = tls.connect();
    // A first message without content.
    stream.write_all(&[22, 3, 1, 0, 4, 1, 0, 0, 0]).expect("it reads");
    let mut alert = Vec::new();
    // A reset behind the alert is an end as well.
    let _ = stream.read_to_end(&mut alert);
    assert_eq!(alert.first(), Some(&21), "{alert:?}");
    eventually("it is counted", || tls.handshakes("failed") == 1.0);
}

#[test]
fn a_renewed_certificate_is_served_and_a_broken_one_is_not() {
    let tls = Encrypted::start();
    let mut kept = Command::new("openssl");
    kept.args(["s_client", "-quiet", "-connect", &tls.address(), "-servername", "a.test"]);
    let kept = kept
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn();
    let mut kept = kept.expect("openssl is installed");
    let (mut to, mut from) =
        (kept.stdin.take().expect("piped"), kept.stdout.take().expect("piped"));
    let mut ask = || {
        to.write_all(b"GET /site/a HTTP/1.1\r\nHost: a.test\r\n\r\n").expect("it is connected");
        let mut answer = Vec::new();
        while !answer.ends_with(b"hello") {
            let mut part = [0; 1024];
            let count = from.read(&mut part).expect("it is piped");
            assert!(count > 0, "the connection ended");
            answer.extend_from_slice(&part[..count]);
        }
    };
    ask();
    let serial = || {
        let text = tls.openssl(&["-servername", "a.test", "-showcerts"]);
        let end = text.find("-----END CERTIFICATE-----").expect("a certificate is shown");
        text[..end].to_owned()
    };
    let before = serial();
    let [certificate, key] = tls.authority.files("first");
    fs::write(&key, "no key at all").expect("own file");
    tls.authority.issue("second", &["*.b.test", "c.test"]);
    eventually("the other pair is replaced", || {
        let text = tls.openssl(&["-servername", "c.test"]);
        text.contains("subject=CN = second")
    });
    assert_eq!(serial(), before, "the broken pair stays as it was: {}", certificate.display());
    tls.authority.issue("first", &["a.test", "localhost"]);
    eventually("the pair is replaced", || serial() != before);
    ask();
    kept.kill().and_then(|()| kept.wait()).expect("it is a child of ours");
}

#[test]
fn a_host_with_a_certificate_of_its_own_is_not_served_to_whom_another_was_shown() {
    let gateway = Encrypted::start();
    for protocol in ["--http1.1", "--http2"] {
        for (sni, host, status) in [
            ("a.test", "a.test", 200),
            ("a.test", "A.TEST:443", 200),
            ("a.test", "localhost", 200),
            ("a.test", "x.b.test", 421),
            ("x.b.test", "a.test:443", 421),
            ("x.b.test", "y.b.test", 200),
            // Nobody has a certificate for it, so there is no better connection.
            ("a.test", "127.0.0.1", 200),
        ] {
            let told = gateway.asks_for(sni, protocol, host);
            assert_eq!(told, status, "{protocol}: {host} to whom {sni} was shown");
        }
    }
}
