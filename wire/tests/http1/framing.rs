//! Where messages end, in every form that either side may use.

use super::kit::{World, run};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const GET_10: &str = "GET / HTTP/1.0\r\nHost: a\r\n\r\n";
const GET_10_KEPT: &str = "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n";

#[test]
fn a_request_goes_up_and_its_answer_comes_down() {
    run(async {
        let mut world = World::new().await;
        let mut client = world.client().await;
        client.send("POST /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello").await;
        let mut upstream = world.upstream().await;
        let request = upstream.message().await;
        assert!(request.head.starts_with("POST /a?b HTTP/1.1\r\nHost: h\r\n"), "{request:?}");
        assert_eq!(request.text(), "hello");
        upstream.send("HTTP/1.1 201 Made\r\nContent-Length: 3\r\nX-A: 1\r\n\r\nyes").await;
        let answer = client.message().await;
        assert_eq!((answer.second_word(), answer.text()), ("201", "yes"));
        assert_eq!(answer.field("x-a"), Some("1"));
        assert_eq!(answer.field("connection"), None);
        let end = world.end().await;
        assert_eq!((end.status, end.is_ours, end.broken), (201, false, None));
        assert_eq!(end.request_bytes, (request.head.len() + 5) as u64);
        assert_eq!(end.response_bytes, (answer.head.len() + 3) as u64);
    });
}

#[test]
fn chunks_and_trailers_pass_both_ways_as_they_are() {
    run(async {
        let world = World::new().await;
        let mut client = world.client().await;
        let chunks = "3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n";
        client
            .send(format!(
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"
            ))
            .await;
        let mut upstream = world.upstream().await;
        assert!(upstream.head().await.contains("Transfer-Encoding: chunked\r\n"));
        upstream.expect(chunks).await;
        upstream
            .send(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"))
            .await;
        client.head().await;
        client.expect(chunks).await;
    });
}

#[test]
fn an_answer_that_ends_with_its_connection_becomes_chunks() {
    run(async {
        let world = World::new().await;
        let (mut client, mut upstream) = world.asked(GET).await;
        upstream.send("HTTP/1.1 200 OK\r\n\r\nabc").await;
        let head = client.head().await;
        assert!(head.contains("Transfer-Encoding: chunked\r\n"), "{head}");
        client.expect("3\r\nabc\r\n").await;
        upstream.send("d").await;
        client.expect("1\r\nd\r\n").await;
        drop(upstream);
        client.expect("0\r\n\r\n").await;
        client.send(GET).await;
        world.upstream().await.head().await;
    });
}

#[test]
fn an_empty_answer_that_ends_with_its_connection_becomes_a_last_chunk() {
    run(async {
        let world = World::new().await;
        let (mut client, mut upstream) = world.asked(GET).await;
        upstream.send("HTTP/1.1 200 OK\r\n\r\n").await;
        drop(upstream);
        let answer = client.message().await;
        assert_eq!((answer.second_word(), answer.text()), ("200", ""));
    });
}

#[test]
fn a_client_of_http_10_reads_no_chunks() {
    run(async {
        let world = World::new().await;
        for request in [GET_10, GET_10_KEPT] {
            let (mut client, mut upstream) = world.asked(request).await;
            upstream
                .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: 1\r\n\r\n")
                .await;
            let head = client.head().await;
            assert!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
            assert!(!head.contains("keep-alive"), "{head}");
            assert_eq!(client.rest().await.unwrap(), b"abc");
        }
    });
}

#[test]
fn a_client_of_http_10_reads_until_the_end_when_there_is_no_length() {
    run(async {
        let world = World::new().await;
        let (mut client, mut upstream) = world.asked(GET_10_KEPT).await;
        upstream.send("HTTP/1.1 200 OK\r\n\r\nabc").await;
        drop(upstream);
        client.head().await;
        assert_eq!(client.rest().await.unwrap(), b"abc");
    });
}

#[test]
fn a_client_of_http_10_keeps_its_connection_where_it_asks_and_the_answer_has_a_length() {
    run(async {
        let world = World::new().await;
        let (mut client, mut upstream) = world.asked(GET_10_KEPT).await;
        for _ in 0..2 {
            upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na").await;
            let answer = client.message().await;
            assert_eq!((answer.field("connection"), answer.text()), (Some("keep-alive"), "a"));
            client.send(GET_10_KEPT).await;
            upstream.head().await;
        }
        let (mut client, mut upstream) = world.asked(GET_10).await;
        upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na").await;
        assert_eq!(client.message().await.text(), "a");
        client.ends().await;
    });
}

#[test]
fn answers_without_a_body_leave_the_connection_at_the_next_request() {
    run(async {
        let world = World::new().await;
        for (method, answer) in [
            ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"),
            ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
            ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
            ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n"),
        ] {
            let request = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
            let (mut client, mut upstream) = world.asked(&request).await;
            upstream.send(answer).await;
            let head = client.head().await;
            assert_eq!(head.contains("Content-Length: 500"), answer.contains("500"), "{head}");
            client.send(GET).await;
            upstream.head().await;
            upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext").await;
            assert_eq!(client.message().await.text(), "next");
        }
    });
}

#[test]
fn an_answer_may_begin_and_end_while_the_request_still_comes() {
    run(async {
        let world = World::new().await;
        let (mut client, mut upstream) =
            world.asked("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        client.head().await;
        for word in ["one", "two", "three"] {
            let chunk = format!("{:x}\r\n{word}\r\n", word.len());
            client.send(&chunk).await;
            upstream.expect(&chunk).await;
            upstream.send(&chunk).await;
            client.expect(&chunk).await;
        }
        client.send("0\r\n\r\n").await;
        upstream.expect("0\r\n\r\n").await;
        upstream.send("0\r\n\r\n").await;
        client.expect("0\r\n\r\n").await;
        client.send(GET).await;
        upstream.head().await;
    });
}

#[test]
fn a_connection_is_closed_when_the_client_or_the_function_says_so() {
    run(async {
        let world = World::new().await;
        let (mut client, mut upstream) =
            world.asked("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na").await;
        let answer = client.message().await;
        assert_eq!((answer.field("connection"), answer.text()), (Some("close"), "a"));
        client.ends().await;
        let mut client = world.client().await;
        client.send(GET).await;
        // The upstream's connection lives on: what the client says of its own is not passed on.
        upstream.head().await;
        upstream.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na").await;
        let answer = client.message().await;
        assert_eq!(answer.field("connection"), None);
        client.send(GET).await;
        world.upstream().await.head().await;
    });
}
