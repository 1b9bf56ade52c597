//! Each stream has its own pace.

use bytes::Bytes;
use h2::client;

use crate::kit::run;
use crate::net::{Net, get, read, request, send};

const LARGE: usize = 600_000;

#[test]
fn a_client_that_does_not_read_stalls_its_own_stream_and_no_other() {
    run(async {
        let mut net = Net::new().await;
        net.narrow();
        let mut client = net.client_with(client::Builder::new().initial_window_size(10_000)).await;
        let (slow, _slow_stream) = client.ask(get("/slow"), true).await;
        let mut upstream = net.upstream().await;
        upstream.head().await;
        upstream.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n")).await;
        let taken = upstream.send_until_it_stalls(&[b'x'; 10_000]).await;
        assert!(taken < 300_000, "{taken} bytes were taken for a client that reads none");
        for _ in 0..3 {
            assert_eq!(client.whole(get("/own")).await.body, b"ours");
            net.end().await;
        }
        let rest = async {
            let rest = vec![b'x'; LARGE - taken];
            upstream.send(rest).await;
        };
        let (answer, ()) = tokio::join!(async { read(slow.await.expect("a head")).await }, rest);
        assert_eq!(answer.body.len(), LARGE);
        assert_eq!(net.end().await.broken, None);
    });
}

#[test]
fn a_function_that_does_not_read_stalls_its_own_client_within_a_window() {
    run(async {
        let net = Net::new().await;
        net.narrow();
        let mut client = net.client().await;
        let (_answer, mut stream) = client.ask(request("POST", "/"), false).await;
        let mut upstream = net.upstream().await;
        upstream.head().await;
        let mut sent = 0;
        for _ in 0..50 {
            stream.reserve_capacity(LARGE);
            let room = stream.capacity();
            if room > 0 {
                let data = Bytes::from(vec![b'x'; room]);
                stream.send_data(data, false).expect("the stream is open");
                sent += room;
            }
            net.settled().await;
        }
        assert!((64 * 1024..400 * 1024).contains(&sent), "{sent} bytes");
        assert_eq!(client.whole(get("/own")).await.body, b"ours");
        // And goes on once it reads.
        let mut left = sent;
        let mut framed = 0;
        while left > 0 {
            let some = upstream.some(1 << 16).await;
            framed += some.len();
            left = left.saturating_sub(some.iter().filter(|byte| **byte == b'x').count());
        }
        assert!(framed > sent);
        send(&mut stream, "end".into(), true).await;
    });
}

#[test]
fn a_hundred_requests_run_at_a_time_and_the_next_waits_for_one_to_end() {
    run(async {
        let mut net = Net::new().await;
        let mut client = net.client().await;
        client.whole(get("/own")).await;
        let mut asked = Vec::new();
        let mut upstreams = Vec::new();
        for at in 0..100 {
            asked.push(client.ask(get(&format!("/{at}")), true).await);
            upstreams.push(net.upstream().await);
        }
        let answers = async {
            for (at, upstream) in upstreams.iter_mut().enumerate() {
                upstream.head().await;
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{at:04}");
                upstream.send(answer).await;
            }
        };
        let reads = async {
            for (at, (answer, _)) in asked.into_iter().enumerate() {
                let answer = read(answer.await.expect("an answer")).await;
                assert_eq!(answer.body, format!("{at:04}").as_bytes());
            }
        };
        tokio::join!(answers, reads);
        for _ in 0..101 {
            assert_eq!(net.end().await.broken, None);
        }
    });
}
