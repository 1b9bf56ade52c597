//! Bodies of any size in memory of a fixed size.

use super::kit::{World, run};

const MIB: usize = 1024 * 1024;
const BODY: usize = 256 * MIB;

/// What this process has in memory (proc(5), `statm`).
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux tells");
    let pages: usize =
        statm.split(' ').nth(1).expect("it has a second number").parse().expect("a number");
    pages * 4096
}

#[test]
fn a_large_body_streams_both_ways_at_once_and_memory_stays_flat() {
    run(async {
        let mut world = World::new().await;
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {BODY}\r\n\r\n");
        let (mut client, mut upstream) = world.asked(&request).await;
        upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        client.head().await;
        let before = resident_bytes();
        // The upstream sends back what it gets, as one chunk each, and knows it from its place.
        let piece: Vec<u8> =
            (0..MIB).map(|at| u8::try_from(at % 253).expect("below 253")).collect();
        for _ in 0..BODY / MIB {
            let up = tokio::join!(client.send(&piece), upstream.exactly(MIB)).1;
            assert!(up == piece);
            let back = async {
                upstream.send(format!("{MIB:x}\r\n")).await;
                upstream.send(&up).await;
                upstream.send("\r\n").await;
            };
            let down = async {
                client.expect(format!("{MIB:x}\r\n")).await;
                let down = client.exactly(MIB).await;
                client.expect("\r\n").await;
                down
            };
            assert!(tokio::join!(back, down).1 == piece);
        }
        let grown = resident_bytes().saturating_sub(before);
        upstream.send("0\r\n\r\n").await;
        client.expect("0\r\n\r\n").await;
        assert!(grown < 32 * MIB, "{grown} bytes more than before");
        let end = world.end().await;
        assert!(end.request_bytes > BODY as u64 && end.response_bytes > BODY as u64);
        assert_eq!(end.broken, None);
    });
}
