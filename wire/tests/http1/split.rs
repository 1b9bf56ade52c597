//! However the bytes are cut on their way, they mean the same.

use super::kit::{Message, World, run};

const REQUESTS: &[&str] = &[
    "GET /a HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n",
    "\r\nPOST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nhello world",
    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n6\r\n world\r\n0\r\nX: 1\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
];

const ANSWERS: &[&str] = &[
    "HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 11\r\n\r\nhello world",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\nX: 1\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n\r\n",
];

/// The request as the upstream reads it when its bytes are cut at `at`.
async fn request_cut(world: &World, bytes: &str, at: usize) -> Message {
    let (mut client, tap) = world.tapped_client().await;
    client.send(&bytes[..at]).await;
    tap.drained().await;
    client.send(&bytes[at..]).await;
    let mut upstream = world.upstream().await;
    let request = upstream.message().await;
    upstream.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi").await;
    let mut answer = client.message().await;
    if answer.second_word() == "100" {
        answer = client.message().await;
    }
    assert_eq!((answer.second_word(), answer.text()), ("200", "hi"), "cut at {at}");
    client.send("GET /own HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(client.message().await.text(), "ours", "cut at {at}");
    request
}

#[test]
fn a_request_cut_anywhere_is_the_same_request() {
    run(async {
        let world = World::new().await;
        for bytes in REQUESTS {
            let whole = request_cut(&world, bytes, bytes.len()).await;
            for at in 1..bytes.len() {
                assert_eq!(request_cut(&world, bytes, at).await, whole, "cut at {at}");
            }
        }
    });
}

#[test]
fn a_request_byte_by_byte_is_the_same_request() {
    run(async {
        let world = World::new().await;
        for bytes in REQUESTS {
            let whole = request_cut(&world, bytes, bytes.len()).await;
            let (mut client, tap) = world.tapped_client().await;
            for byte in bytes.bytes() {
                client.send([byte]).await;
                tap.drained().await;
            }
            assert_eq!(world.upstream().await.message().await, whole);
        }
    });
}

/// The answer as the client reads it when its bytes are cut at `at`; an interim one is told by its status.
async fn answer_cut(world: &World, bytes: &str, at: usize) -> Vec<Message> {
    let (mut client, mut upstream) = world.asked("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let tap = world.upstream_tap();
    upstream.send(&bytes[..at]).await;
    tap.drained().await;
    upstream.send(&bytes[at..]).await;
    let mut answers = vec![client.message().await];
    if answers[0].second_word() == "103" {
        answers.push(client.message().await);
    }
    // Both connections are where the next request begins.
    client.send("GET /next HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(upstream.message().await.second_word(), "/next", "cut at {at}");
    upstream.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nnext").await;
    assert_eq!(client.message().await.text(), "next", "cut at {at}");
    answers
}

#[test]
fn an_answer_cut_anywhere_is_the_same_answer() {
    run(async {
        let world = World::new().await;
        world.tap_upstreams();
        for bytes in ANSWERS {
            let whole = answer_cut(&world, bytes, bytes.len()).await;
            for at in 1..bytes.len() {
                assert_eq!(answer_cut(&world, bytes, at).await, whole, "cut at {at}");
            }
        }
    });
}

#[test]
fn an_answer_byte_by_byte_is_the_same_answer() {
    run(async {
        let world = World::new().await;
        world.tap_upstreams();
        for bytes in ANSWERS {
            let (mut client, mut upstream) = world.asked("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
            let tap = world.upstream_tap();
            for byte in bytes.bytes() {
                upstream.send([byte]).await;
                tap.drained().await;
            }
            drop(tap);
            drop(upstream);
            let mut answer = client.message().await;
            if answer.second_word() == "103" {
                answer = client.message().await;
            }
            let whole = bytes.rfind("HTTP/1.1").map(|at| &bytes[at..]).unwrap_or_default();
            assert_eq!(answer.second_word(), &whole[9..12]);
            assert_eq!(answer.text().is_empty(), !whole.contains("hello"));
        }
    });
}

#[test]
fn an_answer_until_close_cut_anywhere_is_the_same_answer() {
    run(async {
        let world = World::new().await;
        world.tap_upstreams();
        let bytes = "HTTP/1.1 200 OK\r\nX: y\r\n\r\nhello world";
        for at in 1..bytes.len() {
            let (mut client, mut upstream) = world.asked("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
            let tap = world.upstream_tap();
            upstream.send(&bytes[..at]).await;
            tap.drained().await;
            drop(tap);
            upstream.send(&bytes[at..]).await;
            drop(upstream);
            assert_eq!(client.message().await.text(), "hello world", "cut at {at}");
        }
    });
}
