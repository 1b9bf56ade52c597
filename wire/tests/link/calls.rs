//! What passes through a call: answers whole, tunnels with both ends, and the news that somebody has left.

use hatchway_proto::http1::Framing;
use hatchway_proto::link::Cancel;
use hatchway_wire::link::Broken;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::kit::{Call, link_to, listener, run};
use super::node;

async fn request(function: &TcpListener) -> (TcpStream, String) {
    let (mut stream, _) = function.accept().await.expect("the node connects");
    let head = head(&mut stream).await;
    (stream, head)
}

async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        assert!(stream.read_buf(&mut head).await.expect("a head comes") > 0);
    }
    String::from_utf8(head).expect("a head is text")
}

async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset is an end as well.
    let _ = stream.read_to_end(&mut bytes).await;
    bytes
}

#[test]
fn the_function_reads_the_head_as_it_was_sent_and_its_answer_ends_by_an_end() {
    run(async {
        let (function, address) = listener().await;
        let link = link_to(node::in_front_of(address)).await.expect("it greets");
        let mut call = Call::get(&link, "/a?b=c").await;
        let (mut stream, head) = request(&function).await;
        assert!(head.starts_with("GET /a?b=c HTTP/1.1\r\nHost: h\r\n"), "{head}");
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        let answer = call.read_to("ok").await;
        assert_eq!(answer, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        assert_eq!(call.read().await.expect("nothing is wrong"), b"");
        drop(call);
        assert_eq!(link.calls(), 0);
    });
}

#[test]
fn interim_answers_trailers_and_an_end_by_close_pass() {
    run(async {
        let (function, address) = listener().await;
        let link = link_to(node::in_front_of(address)).await.expect("it greets");
        let mut call = Call::get(&link, "/").await;
        let (mut stream, _) = request(&function).await;
        stream.write_all(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").await.unwrap();
        assert_eq!(
            call.read_to("\r\n\r\n").await,
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        );
        let answer =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-T: 1\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        assert!(call.read_to("X-T: 1\r\n\r\n").await.contains("\r\n\r\n2\r\nhi\r\n0\r\n"));

        // What ends with the function's connection has an end of its own on the link.
        let mut call = Call::get(&link, "/").await;
        assert!(head(&mut stream).await.starts_with("GET / "));
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello").await.unwrap();
        drop(stream);
        assert!(call.read_to("0\r\n\r\n").await.contains("5\r\nhello\r\n"));
    });
}

#[test]
fn a_caller_that_leaves_is_noticed_by_the_function() {
    run(async {
        let (function, address) = listener().await;
        let link = link_to(node::in_front_of(address)).await.expect("it greets");
        let call = Call::get(&link, "/").await;
        let (mut stream, _) = request(&function).await;
        drop(call);
        assert_eq!(rest(&mut stream).await, b"");
        // In the middle of an answer as well.
        let mut call = Call::get(&link, "/").await;
        let (mut stream, _) = request(&function).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await.unwrap();
        call.read_to("half").await;
        drop(call);
        assert_eq!(rest(&mut stream).await, b"");
        assert_eq!(link.calls(), 0);
    });
}

#[test]
fn a_function_that_dies_in_its_answer_breaks_the_call_and_says_so() {
    run(async {
        let (function, address) = listener().await;
        let link = link_to(node::in_front_of(address)).await.expect("it greets");
        for body in ["Content-Length: 9\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf"]
        {
            let mut call = Call::get(&link, "/").await;
            let (mut stream, _) = request(&function).await;
            stream.write_all(format!("HTTP/1.1 200 OK\r\n{body}").as_bytes()).await.unwrap();
            call.read_to("half").await;
            drop(stream);
            // The node of these tests gives no reason of its own.
            assert_eq!(call.broken().await, Broken::Cancelled(Cancel::Cut));
        }
        assert!(link.is_open());
    });
}

#[test]
fn each_direction_of_a_tunnel_ends_by_itself() {
    let head = "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let switching =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    run(async {
        let (function, address) = listener().await;
        let link = link_to(node::in_front_of(address)).await.expect("it greets");
        for caller_ends_first in [true, false] {
            let mut call = Call::begin(&link, head, Framing::None).await;
            let (mut stream, _) = request(&function).await;
            stream.write_all(switching.as_bytes()).await.unwrap();
            assert_eq!(call.read_to("\r\n\r\n").await, switching);
            call.write(b"ping").await.expect("the tunnel takes it");
            let mut four = [0; 4];
            stream.read_exact(&mut four).await.expect("the tunnel gives it");
            assert_eq!(&four, b"ping");
            if caller_ends_first {
                call.end().await;
                assert_eq!(rest(&mut stream).await, b"");
                stream.write_all(b"last words").await.unwrap();
                stream.shutdown().await.unwrap();
                assert_eq!(call.read_to("last words").await, "last words");
                assert_eq!(call.read().await.expect("nothing is wrong"), b"");
            } else {
                stream.shutdown().await.unwrap();
                assert_eq!(call.read().await.expect("nothing is wrong"), b"");
                call.write(b"last words").await.expect("this half goes on");
                call.end().await;
                assert_eq!(rest(&mut stream).await, b"last words");
            }
        }
    });
}
