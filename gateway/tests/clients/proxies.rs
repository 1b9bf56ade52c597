//! Clients behind proxies and balancers: whose word is taken for who they are.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use hatchway_gateway::accept::Door;
use hatchway_gateway::config::TlsConfig;
use hatchway_gateway::trigger::Trusted;
use hatchway_proto::proxy_protocol::SIGNATURE;

use crate::certificates::Authority;
use crate::world::{World, output};

fn trusting(network: &str) -> Door {
    let networks = [network.parse().expect("a network")];
    Door { trusted: Trusted::from(&networks[..]), ..Door::default() }
}

/// A header that speaks for a client at 192.0.2.7.
fn header() -> Vec<u8> {
    let addresses = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 0, 80];
    [&SIGNATURE[..], &[0x21, 0x11, 0, 12], &addresses].concat()
}

/// What the function is told of a request that is sent as these bytes; empty when the connection is closed without a word.
fn told(world: &World, begin: &[u8], lines: &str) -> String {
    let address: SocketAddr = world.address.to_string().parse().expect("over IP");
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("it is not zero");
    let request = format!("GET /site/head HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{lines}\r\n");
    stream.write_all(&[begin, request.as_bytes()].concat()).expect("it reads");
    let mut answer = Vec::new();
    // A reset is an end as well.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).expect("a head is text").to_ascii_lowercase()
}

#[test]
fn a_trusted_proxy_is_believed_and_another_is_not() {
    let lines = "X-Forwarded-For: 6.6.6.6, 192.0.2.7\r\nX-Forwarded-Proto: https\r\n";
    let trusted = World::start_with(&TlsConfig::default(), trusting("127.0.0.0/8"));
    let text = told(&trusted, b"", lines);
    assert!(text.contains("\r\nx-forwarded-for: 192.0.2.7\r\n"), "{text}");
    assert!(text.contains("\r\nx-forwarded-proto: https\r\n"), "{text}");
    let other = World::start_with(&TlsConfig::default(), trusting("10.0.0.0/8"));
    let text = told(&other, b"", lines);
    assert!(text.contains("\r\nx-forwarded-for: 127.0.0.1\r\n"), "{text}");
    assert!(text.contains("\r\nx-forwarded-proto: http\r\n"), "{text}");
}

#[test]
fn a_balancer_says_for_whom_it_connects() {
    let door = Door { proxy_protocol: true, ..trusting("127.0.0.1") };
    let world = World::start_with(&TlsConfig::default(), door);
    let text = told(&world, &header(), "X-Forwarded-For: 6.6.6.6\r\n");
    assert!(text.contains("\r\nx-forwarded-for: 192.0.2.7\r\n"), "{text}");
    // For itself, to see that we are well.
    let local = [&SIGNATURE[..], &[0x20, 0, 0, 0]].concat();
    let text = told(&world, &local, "");
    assert!(text.contains("\r\nx-forwarded-for: 127.0.0.1\r\n"), "{text}");
    for begin in [&b""[..], b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 80\r\n", &header()[..15]] {
        assert_eq!(told(&world, begin, ""), "", "{begin:?}");
    }
    assert_eq!(world.counted("gateway_refusals_total", "bad-proxy-header"), 3.0);
}

#[test]
fn nobody_else_may_speak_for_clients() {
    let door = Door { proxy_protocol: true, ..trusting("10.0.0.0/8") };
    let world = World::start_with(&TlsConfig::default(), door);
    assert_eq!(told(&world, &header(), ""), "");
    assert_eq!(world.counted("gateway_refusals_total", "untrusted-proxy"), 1.0);
}

#[test]
fn clients_are_counted_by_the_address_that_their_balancer_says() {
    let door = Door { proxy_protocol: true, connections_per_address: 1, ..trusting("127.0.0.1") };
    let world = World::start_with(&TlsConfig::default(), door);
    let address: SocketAddr = world.address.to_string().parse().expect("over IP");
    let mut kept = TcpStream::connect(address).expect("it listens");
    let request = b"GET /site/a HTTP/1.1\r\nHost: a\r\n\r\n";
    kept.write_all(&[&header()[..], request].concat()).expect("it reads");
    let mut answer = [0; 1024];
    assert!(kept.read(&mut answer).expect("an answer") > 0);
    assert_eq!(told(&world, &header(), ""), "", "a second one of the same client");
    let mut other = header();
    other[19] = 8;
    let text = told(&world, &other, "");
    assert!(text.contains("\r\nx-forwarded-for: 192.0.2.8\r\n"), "{text}");
}

#[test]
fn the_header_comes_before_tls() {
    let authority = Authority::new();
    authority.issue("first", &["a.test"]);
    let door = Door { proxy_protocol: true, ..trusting("127.0.0.1") };
    let world = World::start_with(&authority.config(&["first"]), door);
    let script = r#"
import socket, ssl, sys
raw = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
raw.settimeout(20)
raw.sendall(bytes.fromhex(sys.argv[3]))
context = ssl.create_default_context(cafile=sys.argv[2])
stream = context.wrap_socket(raw, server_hostname="a.test", suppress_ragged_eofs=False)
stream.sendall(b"GET /site/head HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
while part := stream.recv(65536):
    sys.stdout.write(part.decode().lower())
"#;
    let tls = world.tls.as_ref().expect("it was asked for").to_string();
    let port = tls.rsplit(':').next().expect("a port");
    let hex: String = header().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut command = Command::new("python3");
    let got = output(command.args(["-c", script, port]).arg(authority.file()).arg(hex), b"");
    let text = String::from_utf8_lossy(&got.stdout).into_owned();
    assert!(text.contains("\r\nx-forwarded-for: 192.0.2.7\r\n"), "{got:?}");
    assert!(text.contains("\r\nx-forwarded-proto: https\r\n"), "{text}");
}
