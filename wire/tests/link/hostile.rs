//! Peers that break the rules are told which one, and cost nobody else anything.

use hatchway_proto::link::{Cancel, Frame, Side, cases};

use super::kit::{Call, Raw, link_to, listener, run};
use super::node;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A function that answers every request, and its node.
async fn node() -> std::net::SocketAddr {
    let (function, address) = listener().await;
    tokio::task::spawn_local(async move {
        while let Ok((mut stream, _)) = function.accept().await {
            tokio::task::spawn_local(async move {
                use tokio::io::{AsyncReadExt, AsyncWriteExt};
                let mut buffer = vec![0; 64 * 1024];
                let mut seen = Vec::new();
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    seen.extend_from_slice(&buffer[..count]);
                    if seen.ends_with(b"\r\n\r\n") {
                        seen.clear();
                        let _ = stream.write_all(ANSWER).await;
                    }
                }
            });
        }
    });
    node::in_front_of(address)
}

#[test]
fn every_bad_frame_is_answered_by_its_error_and_a_close() {
    run(async {
        let address = node().await;
        let link = link_to(address).await.expect("it greets");
        for case in cases::all().into_iter().filter(|case| case.to == Side::Node) {
            let mut peer = Raw::connect(address).await;
            peer.say_raw(&case.bytes).await;
            let code = case.answer.code();
            let is_told = peer
                .hear(|frame| matches!(frame, Frame::Error { code: told, .. } if *told == code))
                .await;
            assert!(is_told, "{}", case.claim);
            assert!(!peer.hear(|_| false).await, "it closes");
            // Others do not notice.
            let mut call = Call::get(&link, "/").await;
            assert!(call.read_to("ok").await.starts_with("HTTP/1.1 200 OK\r\n"));
        }
    });
}

#[test]
fn bytes_beyond_the_credit_end_their_call_and_no_other() {
    run(async {
        let mut peer = Raw::greeted(node().await).await;
        peer.say(&[cases::sound_call(1), cases::sound_call(2)]).await;
        let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
        let data = |call, bytes| Frame::Data { call, end: false, bytes };
        // Three times 32 KiB at once: no credit can have been given for all of it.
        let burst =
            [data(1, chunk.as_bytes()), data(1, chunk.as_bytes()), data(1, chunk.as_bytes())];
        peer.say(&burst).await;
        let reason = Cancel::Protocol;
        assert!(peer.hear(|frame| *frame == Frame::Cancel { call: 1, reason }).await);
        peer.say(&[data(1, b"late"), data(2, b"0\r\n\r\n")]).await;
        assert!(peer.hear(|frame| matches!(frame, Frame::Data { call: 2, end: true, .. })).await);
    });
}

#[test]
fn frames_about_calls_that_are_over_are_ignored() {
    run(async {
        let mut peer = Raw::greeted(node().await).await;
        let (left, over) = (Cancel::Left, 1);
        peer.say(&[cases::sound_call(over), Frame::Cancel { call: over, reason: left }]).await;
        peer.say(&[
            Frame::Data { call: over, end: false, bytes: b"x" },
            Frame::Credit { call: over, bytes: 1 },
            Frame::Cancel { call: over, reason: left },
            Frame::Ping(7),
        ])
        .await;
        assert!(peer.hear(|frame| *frame == Frame::Pong(7)).await);
    });
}

#[test]
fn a_peer_that_asks_and_does_not_listen_is_given_up() {
    run(async {
        let mut peer = Raw::greeted(node().await).await;
        let mut pings = Vec::new();
        (0..10_000).for_each(|number| Frame::Ping(number).encode(&mut pings));
        // Each is answered, and nobody reads the answers: it ends when they are too many.
        while peer.try_say_raw(&pings).await.is_ok() {}
    });
}

#[test]
fn a_name_that_is_none_cancels_the_call() {
    run(async {
        let mut peer = Raw::greeted(node().await).await;
        let Frame::Call { call, mut about, head } = cases::sound_call(1) else { return };
        about.version = "nonsense";
        peer.say(&[Frame::Call { call, about, head }]).await;
        let reason = Cancel::Protocol;
        assert!(peer.hear(|frame| *frame == Frame::Cancel { call, reason }).await);
    });
}
