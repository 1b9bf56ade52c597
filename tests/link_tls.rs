//! Links between machines: both ends show who they are, and whoever is somebody else is told so on both ends.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;

use hatchway_tests::{
    Authority, Client, GATEWAY, GatewayProgram, NODE, NodeProgram, Output, PUPPET, Pair, Project,
    SERVER, Shown, apply, eventually, in_file, program_path, puppet,
};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

fn project() -> Project {
    Project::new(&puppet("puppet", "")).file("puppet.mjs", PUPPET)
}

fn node(project: &Project, tls: &[String]) -> NodeProgram {
    apply(project);
    NodeProgram::start_at(project, "127.0.0.1:0", &[&in_file(project), tls].concat())
}

fn gateway(project: &Project, node: &NodeProgram, tls: &[String]) -> GatewayProgram {
    GatewayProgram::start_to(project, &node.address, &[&in_file(project), tls].concat())
}

/// An authority whose gateway and node are what they have to be.
fn authority() -> Authority {
    let authority = Authority::new();
    authority.issue("gateway", GATEWAY);
    authority.issue("node", NODE);
    authority
}

/// Both over TLS.
fn pair(project: &Project, authority: &Authority) -> Pair {
    let node = node(project, &authority.words("node", authority));
    let gateway = gateway(project, &node, &authority.words("gateway", authority));
    Pair { gateway, node }
}

/// A line of a log with this part.
#[track_caller]
fn says(output: &Output, part: &str) {
    output.wait(part, |line| line.contains(part).then_some(()));
}

/// A call finds no node.
#[track_caller]
fn is_refused(gateway: &GatewayProgram) {
    assert_eq!(gateway.get("/puppet").problem().reason, "no-node");
}

#[test]
fn calls_long_bodies_and_tunnels_go_through() {
    const BYTES: u64 = 32 << 20;
    const ECHO: &str = "
const server = require('http').createServer();
server.on('upgrade', (request, socket) => {
  socket.write('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n\\r\\n');
  socket.pipe(socket);
});
server.listen(process.env.PORT);
";
    let server = |name: &str, file: &str| {
        format!(
            "[function.{name}]\nruntime = \"node\"\nmain = \"{file}\"\nhttp = {{ path = \"/{name}\" }}\n"
        )
    };
    let manifest =
        puppet("puppet", "") + &server("large", "server.mjs") + &server("echo", "echo.cjs");
    let project = Project::new(&manifest)
        .file("puppet.mjs", PUPPET)
        .file("server.mjs", SERVER)
        .file("echo.cjs", ECHO);
    let pair = pair(&project, &authority());
    assert_eq!(pair.gateway.get("/puppet?name=Ada").ok()["order"]["name"], "Ada");

    let body = std::io::repeat(b'x').take(BYTES);
    let mut answer = pair.gateway.upload("/large", body).expect("an answer");
    assert_eq!(answer.body_mut().read_to_string().expect("a number"), BYTES.to_string());
    let mut answer = pair.gateway.open(&format!("/large?bytes={BYTES}")).expect("an answer");
    let mut body = answer.body_mut().with_config().limit(u64::MAX).reader();
    assert_eq!(std::io::copy(&mut body, &mut std::io::sink()).expect("the body"), BYTES);

    let mut client = pair.gateway.raw();
    client.send(
        "GET /echo HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    assert_eq!(client.head().status, 101);
    assert_eq!(client.send("hello").exactly(5).expect("an echo"), b"hello");
    client.leave();
    for function in ["puppet", "large", "echo"] {
        pair.node.admin.wait_in_flight(function, 0);
    }
}

#[test]
fn whoever_is_somebody_else_is_refused_and_both_logs_say_why() {
    let (project, ours, theirs) = (project(), authority(), authority());
    ours.issue("old", Shown { name: GATEWAY, is_expired: true });
    let node = node(&project, &ours.words("node", &ours));
    for (words, ours_says, node_says) in [
        (theirs.words("gateway", &theirs), "UnknownIssuer", "UnknownCA"),
        (theirs.words("gateway", &ours), "UnknownCA", "UnknownIssuer"),
        (ours.words("old", &ours), "CertificateExpired", "certificate expired"),
        (
            ours.words("node", &ours),
            "CertificateUnknown",
            "a certificate for node.hatchway.internal is not that of a gateway, which has to be for gateway.hatchway.internal",
        ),
    ] {
        let gateway = gateway(&project, &node, &words);
        is_refused(&gateway);
        says(gateway.output(), ours_says);
        says(node.output(), node_says);
    }
    // The node is as open as before to whoever it knows.
    gateway(&project, &node, &ours.words("gateway", &ours)).get("/puppet").ok();
}

#[test]
fn a_node_that_is_somebody_else_is_not_called() {
    let (project, authority) = (project(), authority());
    let node = node(&project, &authority.words("gateway", &authority));
    let gateway = gateway(&project, &node, &authority.words("gateway", &authority));
    is_refused(&gateway);
    says(gateway.output(), "is not that of a node, which has to be for node.hatchway.internal");
}

#[test]
fn whoever_shows_no_certificate_is_refused() {
    let (project, authority) = (project(), authority());
    let node = node(&project, &authority.words("node", &authority));
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_file(authority.file()).expect("a certificate");
    roots.add(ca).expect("an authority");
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from(NODE).expect("a host name");
    let tls = ClientConnection::new(Arc::new(config), name).expect("it can begin");
    let socket = TcpStream::connect(&node.address).expect("somebody listens");
    let error = StreamOwned::new(tls, socket).read(&mut [0]).expect_err("it is refused");
    assert!(error.to_string().contains("CertificateRequired"), "{error}");
    says(node.output(), "peer sent no certificates");
}

#[test]
fn plain_text_and_tls_do_not_meet() {
    let (project, authority) = (project(), authority());
    let tls = authority.words("gateway", &authority);
    let encrypted = node(&project, &authority.words("node", &authority));
    let plain = gateway(&project, &encrypted, &[]);
    is_refused(&plain);
    says(plain.output(), "one end encrypts the link, and the other one does not");
    says(encrypted.output(), "the other end does not encrypt the link");
    let mut stranger = TcpStream::connect(&encrypted.address).expect("somebody listens");
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("it is open");
    drop(plain);
    encrypted.stop();

    let plain = node(&project, &[]);
    let encrypted = gateway(&project, &plain, &tls);
    is_refused(&encrypted);
    says(encrypted.output(), "the other end does not encrypt the link");
}

#[test]
fn a_certificate_that_is_replaced_is_shown_by_the_next_link_and_ends_none() {
    let (project, authority) = (project(), authority());
    // Nobody takes this for a node's: the link below stands because it was there before.
    authority.issue("changing", NODE);
    let node = node(&project, &authority.words("changing", &authority));
    let words = authority.words("gateway", &authority);
    let first = gateway(&project, &node, &words);
    let pid = first.get("/puppet").ok()["pid"].clone();
    let mut stream = first.raw();
    stream.get("/puppet?do=endless");
    assert_eq!(stream.head().status, 200);

    authority.issue("changing", "somebody.else");
    says(node.output(), "the identity on links was replaced");
    let second = gateway(&project, &node, &words);
    is_refused(&second);
    says(second.output(), "a certificate for somebody.else is not that of a node");
    stream.chunk().expect("the stream goes on");
    assert_eq!(first.get("/puppet").ok()["pid"], pid);

    // What cannot be used is not, and is told.
    std::fs::write(&words_of(&authority)[1], "nothing").expect("own file");
    says(node.output(), "is not replaced");
    authority.issue("changing", NODE);
    eventually("the second gateway finds it", || {
        (second.get("/puppet").status == 200).then_some(())
    });
    stream.leave();
    node.admin.wait_in_flight("puppet", 0);
}

/// The files of the certificate that changes.
fn words_of(authority: &Authority) -> [String; 2] {
    let words = authority.words("changing", authority);
    [words[1].clone(), words[3].clone()]
}

#[test]
fn names_can_be_those_that_an_operator_has() {
    let (project, authority) = (project(), Authority::new());
    authority.issue("uri", "spiffe://test/hatchway/gateway");
    authority.issue("host", "n1.nodes.test");
    let expect = |words: Vec<String>, name: &str| {
        [words, vec!["--link-tls-peer".to_owned(), name.to_owned()]].concat()
    };
    let words = expect(authority.words("host", &authority), "spiffe://test/hatchway/gateway");
    let node = node(&project, &words);
    let words = expect(authority.words("uri", &authority), "*.nodes.test");
    gateway(&project, &node, &words).get("/puppet").ok();
}

#[test]
fn what_leaves_the_machine_is_encrypted_or_refused() {
    let project = project();
    apply(&project);
    let refused = |program: &str, option: &str| {
        let mut command = Command::new(program_path(program));
        command.args([option, "0.0.0.0:0", "--admin", "127.0.0.1:0"]).args(in_file(&project));
        let output = command.output().expect("the program starts");
        assert_eq!(output.status.code(), Some(78));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let exact = format!(
            "{option} 0.0.0.0:0: a link that leaves this machine has to be encrypted; set --link-tls-cert"
        );
        assert!(said.contains(&exact), "{said}");
    };
    refused("hatchway-node", "--listen");
    refused("hatchway-gateway", "--node");

    let authority = authority();
    let words = [&in_file(&project)[..], &authority.words("node", &authority)].concat();
    let node = NodeProgram::start_at(&project, "0.0.0.0:0", &words);
    let port = node.address.rsplit(':').next().expect("a port");
    let words = [&in_file(&project)[..], &authority.words("gateway", &authority)].concat();
    let gateway = GatewayProgram::start_to(&project, &format!("127.0.0.1:{port}"), &words);
    Client::new(gateway.address).get("/puppet").ok();
}
