//! What a function is given, and how it is reached.

mod common;

use std::io::Read;

use common::House;
use hatchway_sandbox::{Connection, Door, Entry, ExitKind, Network, NotReady, SandboxSpec, Step};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Answers one connection with one line, on a socket made by the caller of `$make`.
const ANSWER: &str = "accept(my $c, $s) or die; syswrite($c, 'answer'); close $c; sleep 600;";

fn perl(house: &House, script: &str, entry: Entry) -> SandboxSpec {
    let argv = ["/usr/bin/perl", "-MSocket", "-e", script];
    SandboxSpec { argv: argv.map(str::to_owned).into(), entry, ..house.script("") }
}

async fn read_answer(mut connection: Connection) -> String {
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.expect("answer");
    answer
}

#[tokio::test]
async fn a_function_has_exactly_the_descriptors_that_are_meant() {
    let house = House::open();
    let script =
        "for (0 .. 99) { my $to = readlink \"/proc/self/fd/$_\"; print \"$_ $to\\n\" if $to; }";
    let (_, output) = house.run_spec(perl(&house, script, Entry::Inherited)).await;
    let kinds: Vec<&str> = output.lines().filter_map(|line| line.split(':').next()).collect();
    assert_eq!(kinds, ["0 /dev/null", "1 pipe", "2 pipe", "3 socket", "4 pipe"]);
    let (_, output) = house.run_spec(perl(&house, script, Entry::Probed { port: 80 })).await;
    assert_eq!(output.lines().count(), 3, "{output}");
}

#[tokio::test]
async fn the_environment_is_exactly_as_given() {
    let house = House::open();
    let mut spec = house.script("");
    spec.argv = vec!["/usr/bin/env".into()];
    spec.env = vec![("A".into(), "1".into()), ("B".into(), "two\nlines".into())];
    let (_, output) = house.run_spec(spec).await;
    assert_eq!(output, "A=1\nB=two\nlines\n");
}

#[tokio::test]
async fn a_connection_waits_in_the_inherited_listener_until_it_is_accepted() {
    let house = House::open();
    let script = format!("open(my $s, '+<&=3') or die; {ANSWER}");
    let sandbox = house.hatch_spec(perl(&house, &script, Entry::Inherited)).await;
    let connection = sandbox.connect().await.expect("connect before it is ready");
    assert!(matches!(connection, Connection::Unix(_)));
    assert_eq!(read_answer(connection).await, "answer");
}

#[tokio::test]
async fn a_functions_own_words_on_why_it_cannot_start_come_back() {
    let house = House::open();
    let script =
        r#"echo '{"failed":{"reason":"load","message":"no such module","stack":"at x"}}' >&4"#;
    let sandbox = house.hatch(script).await;
    let error = sandbox.ready().await.expect_err("it failed");
    let NotReady::Failed { report } = &error else {
        panic!("{error}");
    };
    assert_eq!(report["stack"], "at x");
}

#[tokio::test]
async fn one_that_ends_before_it_is_ready_is_told_by_its_end() {
    let house = House::open();
    let sandbox = house.hatch("exit 9").await;
    let error = sandbox.ready().await.expect_err("it ended");
    assert!(matches!(&error, NotReady::Ended(exit) if exit.kind == ExitKind::Code(9)), "{error}");
}

#[tokio::test]
async fn a_server_on_a_unix_socket_is_found_by_probing() {
    let house = House::open();
    if !house.gives(&[Step::Root]) {
        return;
    }
    let script = format!(
        "socket(my $s, PF_UNIX, SOCK_STREAM, 0); bind($s, pack_sockaddr_un('/run/hatchway/http.sock')) or die $!; \
         listen($s, 8); accept(my $probe, $s); {ANSWER}"
    );
    let sandbox = house.hatch_spec(perl(&house, &script, Entry::Probed { port: 8080 })).await;
    let report = sandbox.ready().await.expect("ready");
    assert_eq!(report.door, Some(Door::Unix));
    assert_eq!(read_answer(sandbox.connect().await.expect("connect")).await, "answer");
}

#[tokio::test]
async fn a_server_on_a_port_of_its_own_network_is_found_by_probing() {
    let house = House::open();
    if !house.gives(&[Step::NetworkNamespace]) {
        return;
    }
    let script = format!(
        "socket(my $s, PF_INET, SOCK_STREAM, 0); bind($s, pack_sockaddr_in(8080, pack('C4', 127, 0, 0, 1))) or die $!; \
         listen($s, 8); accept(my $probe, $s); {ANSWER}"
    );
    // Both at once on the same port: each has a loopback of its own.
    let first = house.hatch_spec(perl(&house, &script, Entry::Probed { port: 8080 })).await;
    let second = house.hatch_spec(perl(&house, &script, Entry::Probed { port: 8080 })).await;
    for sandbox in [first, second] {
        let report = sandbox.ready().await.expect("ready");
        assert_eq!(report.door, Some(Door::Tcp));
        assert_eq!(read_answer(sandbox.connect().await.expect("connect")).await, "answer");
    }
}

#[tokio::test]
async fn a_server_on_the_hosts_network_is_found_by_probing() {
    let house = House::open();
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("free port");
    let port = free.local_addr().expect("address").port();
    drop(free);
    let script = format!(
        "socket(my $s, PF_INET, SOCK_STREAM, 0); bind($s, pack_sockaddr_in({port}, pack('C4', 127, 0, 0, 1))) or die $!; \
         listen($s, 8); accept(my $probe, $s); {ANSWER}"
    );
    let mut spec = perl(&house, &script, Entry::Probed { port });
    spec.network = Network::Open;
    let sandbox = house.hatch_spec(spec).await;
    sandbox.ready().await.expect("ready");
    assert_eq!(read_answer(sandbox.connect().await.expect("connect")).await, "answer");
}

#[tokio::test]
async fn a_link_in_place_of_the_socket_leads_nowhere() {
    let house = House::open();
    if !house.gives(&[Step::Root]) {
        return;
    }
    // A socket of the host by its path there, and one of its own by way of a link.
    let outside = house.dir.path().join("outside.sock");
    let listener = std::os::unix::net::UnixListener::bind(&outside).expect("listener");
    let script = format!(
        "socket(my $s, PF_UNIX, SOCK_STREAM, 0); bind($s, pack_sockaddr_un('/tmp/own.sock')); listen($s, 8); \
         symlink('{}', '/run/hatchway/http.sock') or die $!; exit 6;",
        outside.display()
    );
    let sandbox = house.hatch_spec(perl(&house, &script, Entry::Probed { port: 8080 })).await;
    let error = sandbox.ready().await.expect_err("nothing to connect to");
    assert!(matches!(&error, NotReady::Ended(exit) if exit.kind == ExitKind::Code(6)), "{error}");
    listener.set_nonblocking(true).expect("nonblocking");
    let nobody = listener.accept().map(|(mut stream, _)| stream.read(&mut [0]));
    assert_eq!(nobody.expect_err("nobody").kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn extra_folders_appear_where_they_are_asked_for_and_cannot_be_written() {
    let house = House::open();
    if !house.gives(&[Step::Root]) {
        return;
    }
    let tree = house.dir.path().join("tree");
    std::fs::create_dir(&tree).expect("folder");
    std::fs::write(tree.join("file"), "in the tree\n").expect("file");
    let mut spec = house.script("cat /opt/deep/inside/file; touch /opt/deep/inside/x; echo $?");
    spec.read_only = vec![(tree, "/opt/deep/inside".into())];
    let (_, output) = house.run_spec(spec).await;
    assert_eq!(output, "in the tree\n1\n");
}

#[tokio::test]
async fn bytes_go_both_ways() {
    let house = House::open();
    let script = "open(my $s, '+<&=3') or die; accept(my $c, $s); \
                  while (sysread($c, my $b, 65536)) { syswrite($c, uc $b); }";
    let sandbox = house.hatch_spec(perl(&house, script, Entry::Inherited)).await;
    let mut connection = sandbox.connect().await.expect("connect");
    connection.write_all(b"hello").await.expect("write");
    connection.shutdown().await.expect("shutdown");
    assert_eq!(read_answer(connection).await, "HELLO");
}
