//! Credit: a slow reader stalls its own call, and holds no more than it was given.

use std::cell::Cell;
use std::rc::Rc;

use hatchway_proto::http1::Framing;
use hatchway_proto::link::{CallHead, Frame, cases};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::kit::{Call, Raw, link_to, listener, run};
use super::node;

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// The next request's connection, once its head has come; not a byte of its body is read.
async fn request(function: &TcpListener) -> TcpStream {
    let (mut stream, _) = function.accept().await.expect("the node connects");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a head comes"));
    }
    stream
}

/// More than the window and all the sockets between hold.
const BYTES: usize = 64 << 20;

#[test]
fn a_reader_that_takes_nothing_stalls_its_own_call_alone() {
    run(async {
        let (function, address) = listener().await;
        let link = link_to(node::in_front_of(address)).await.expect("it greets");
        let mut stalled = Call::get(&link, "/stalled").await;
        let mut writer = request(&function).await;
        let written = Rc::new(Cell::new(0));
        let writing = tokio::task::spawn_local({
            let written = Rc::clone(&written);
            async move {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n");
                writer.write_all(head.as_bytes()).await.expect("the node reads");
                while written.get() < BYTES {
                    writer.write_all(&[b'x'; 0x4000]).await.expect("the node reads");
                    written.set(written.get() + 0x4000);
                }
            }
        });
        for number in 0..200 {
            let mut call = Call::get(&link, &format!("/{number}")).await;
            let mut other = request(&function).await;
            other.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
            assert!(call.read_to("ok").await.starts_with("HTTP/1.1 200 OK\r\n"));
        }
        assert!(written.get() < BYTES, "all of it went somewhere");
        // Whoever begins to read gets all of it.
        let mut head = stalled.read().await.expect("it has begun");
        let start =
            head.windows(4).position(|four| four == b"\r\n\r\n").expect("a head is short") + 4;
        let mut read = head.split_off(start).len();
        while read < BYTES {
            read += stalled.read().await.expect("nothing was lost").len();
        }
        writing.await.expect("it writes to its end");
    });
}

#[test]
fn a_node_sends_no_more_than_it_was_allowed() {
    run(async {
        let (function, address) = listener().await;
        let mut peer = Raw::greeted(node::in_front_of(address)).await;
        let Frame::Call { call, about, head } = cases::sound_call(1) else { return };
        peer.say(&[Frame::Call { call, about: CallHead { credit: 10, ..about }, head }]).await;
        let mut writer = request(&function).await;
        let answer = [HEAD, b"5\r\nhello\r\n"].concat();
        writer.write_all(&answer).await.expect("the node reads");
        let mut came = Vec::new();
        // Whatever is allowed comes in full, and then nothing but what is said about the connection.
        for allowed in [10, 1, 30] {
            let until = came.len() + allowed;
            while came.len() < until {
                let more = peer.next(|frame| match frame {
                    Frame::Data { bytes, .. } => bytes.to_vec(),
                    _ => Vec::new(),
                });
                came.extend(more.await.expect("the link goes on"));
            }
            assert_eq!(came, answer_start(&came), "no byte is twice or missing");
            assert_eq!(came.len(), until);
            let next = if allowed == 10 { 1 } else { 30 };
            peer.say(&[Frame::Credit { call, bytes: next }]).await;
        }
    });
}

/// As many bytes of the answer as have come. The node writes the head in its own words.
fn answer_start(came: &[u8]) -> &[u8] {
    let start = b"HTTP/1.1 200 OK\r\n";
    assert!(came.starts_with(&start[..came.len().min(start.len())]));
    came
}

#[test]
fn a_large_body_waits_for_acceptance_and_then_goes_at_the_readers_pace() {
    run(async {
        let (function, address) = listener().await;
        let link = link_to(node::in_front_of(address)).await.expect("it greets");
        const BYTES: usize = 3 << 20;
        let head = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {BYTES}\r\n\r\n");
        let mut call = Call::begin(&link, &head, Framing::Length(BYTES as u64)).await;
        let body: Vec<u8> = (0..=250).cycle().take(BYTES).collect();
        let reading = async {
            let mut stream = request(&function).await;
            let mut seen = 0;
            let mut buffer = vec![0; 100_000];
            while seen < BYTES {
                let count = stream.read(&mut buffer).await.expect("the node writes");
                let expected = (0..=250).cycle().skip(seen % 251).take(count);
                assert!(buffer[..count].iter().copied().eq(expected), "at {seen}");
                seen += count;
            }
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.expect("the node reads");
            stream
        };
        let (_stream, written) = tokio::join!(reading, async {
            call.write(&body).await.expect("credit comes");
            call.read_to("\r\n\r\n").await
        });
        assert!(written.starts_with("HTTP/1.1 204 "));
    });
}
