//! A slow side slows the other down, and costs a bounded number of bytes.

use std::time::Duration;

use super::kit::{Event, Still, World, run};

const PIECE: usize = 64 * 1024;

/// Of each socket. Much smaller ones move by the kernel's own clock.
const BUFFER: usize = 64 * 1024;

/// More than the engine and the kernel may hold of one direction; the kernel doubles what it is asked for, and
/// the test's own ends are as large as they like.
const BOUND: usize = 16 * 1024 * 1024;

#[test]
fn a_client_that_does_not_read_stops_the_function() {
    run(async {
        let mut world = World::new().await;
        world.narrow(BUFFER);
        let mut client = world.client().await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let mut upstream = world.upstream().await;
        upstream.head().await;
        upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await;
        let sent = upstream.send_until_it_stalls(&[b'x'; PIECE]).await;
        assert!(sent < BOUND, "{sent} bytes are nowhere");
        // What moves again is what was stalled.
        client.head().await;
        client.exactly(sent).await;
        upstream.send([b'y'; 10]).await;
        client.expect([b'y'; 10]).await;
        let still = Still::new();
        upstream.send_until_it_stalls(&[b'x'; PIECE]).await;
        let end = world.end_after(&still, Duration::from_secs(31)).await;
        assert_eq!(end.broken.as_deref(), Some("the client was too slow"));
        upstream.is_cut().await;
    });
}

#[test]
fn a_function_that_does_not_read_stops_the_client() {
    run(async {
        let mut world = World::new().await;
        world.narrow(BUFFER);
        let mut client = world.client().await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n").await;
        let mut upstream = world.upstream().await;
        upstream.head().await;
        let sent = client.send_until_it_stalls(&[b'x'; PIECE]).await;
        assert!(sent < BOUND, "{sent} bytes are nowhere");
        upstream.exactly(sent).await;
        client.send([b'y'; 10]).await;
        upstream.expect([b'y'; 10]).await;
        let still = Still::new();
        client.send_until_it_stalls(&[b'x'; PIECE]).await;
        let end = world.end_after(&still, Duration::from_secs(61)).await;
        assert_eq!(end.broken.as_deref(), Some("the idle clock ran out"));
    });
}

#[test]
fn a_body_that_nobody_reads_yet_stops_the_client() {
    run(async {
        let mut world = World::new().await;
        world.narrow(BUFFER);
        let mut client = world.client().await;
        client.send("POST /held HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n").await;
        assert!(matches!(world.event().await, Event::Connecting));
        let sent = client.send_until_it_stalls(&[b'x'; PIECE]).await;
        assert!(sent < BOUND, "{sent} bytes are nowhere");
    });
}

#[test]
fn requests_that_are_sent_ahead_stop_the_client() {
    run(async {
        let mut world = World::new().await;
        world.narrow(BUFFER);
        let mut client = world.client().await;
        client.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(matches!(world.event().await, Event::Connecting));
        let next = "GET /own HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000);
        let sent = client.send_until_it_stalls(next.as_bytes()).await;
        assert!(sent < BOUND, "{sent} bytes are nowhere");
    });
}

#[test]
fn a_client_that_reads_byte_by_byte_gets_everything() {
    run(async {
        let world = World::new().await;
        world.narrow(BUFFER);
        let mut client = world.client().await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let mut upstream = world.upstream().await;
        upstream.head().await;
        let body: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let sending = async {
            upstream.send(head).await;
            upstream.send(&body).await;
        };
        let reading = async {
            client.head().await;
            let mut got = Vec::new();
            while got.len() < body.len() {
                got.extend(client.some(97).await);
            }
            got
        };
        let ((), got) = tokio::join!(sending, reading);
        assert!(got == body);
    });
}
