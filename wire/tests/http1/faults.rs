//! Upstreams that break: the client is told, or sees that its answer is cut, and nobody meets the rest.

use super::kit::{World, run};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const NEXT: &str = "GET /own HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn an_upstream_that_closes_before_it_answers_is_answered_for() {
    run(async {
        let mut world = World::new().await;
        for reset in [false, true] {
            let (mut client, upstream) = world.asked(GET).await;
            if reset {
                upstream.reset()
            } else {
                drop(upstream)
            }
            let answer = client.message().await;
            assert_eq!(answer.second_word(), "502");
            let end = world.end().await;
            assert_eq!((end.status, end.is_ours), (502, true));
            assert_eq!(end.broken.as_deref(), Some(answer.text()));
            // All of the request was read, so the next byte is the next request.
            client.send(NEXT).await;
            assert_eq!(client.message().await.text(), "ours");
            assert_eq!(world.end().await.broken, None);
        }
    });
}

#[test]
fn a_head_that_is_none_is_answered_for_and_its_connection_not_used_again() {
    run(async {
        let mut world = World::new().await;
        for garbage in [
            "SSH-2.0-x\r\n",
            "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\n\r\n",
            "HTTP/1.1 099 A\r\n\r\n",
        ] {
            let (mut client, mut upstream) = world.asked(GET).await;
            upstream.send(garbage).await;
            assert_eq!(client.message().await.second_word(), "502");
            upstream.is_cut().await;
            let broken = world.end().await.broken;
            assert_eq!(broken.as_deref(), Some("the head of the answer is malformed"));
        }
    });
}

#[test]
fn a_head_that_does_not_end_is_refused_at_the_limit() {
    run(async {
        let world = World::new().await;
        let (mut client, mut upstream) = world.asked(GET).await;
        upstream.send("HTTP/1.1 200 OK\r\n").await;
        let line = format!("X: {}\r\n", "y".repeat(1000));
        while upstream.try_send(&line).await.is_ok() {}
        assert_eq!(client.message().await.second_word(), "502");
    });
}

#[test]
fn an_answer_that_is_cut_is_cut_for_the_client() {
    run(async {
        let mut world = World::new().await;
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        ] {
            for reset in [false, true] {
                let (mut client, mut upstream) = world.asked(GET).await;
                upstream.send(answer).await;
                client.head().await;
                client.expect(answer.split_once("\r\n\r\n").unwrap().1).await;
                if reset {
                    upstream.reset()
                } else {
                    drop(upstream)
                }
                client.is_cut().await;
                let end = world.end().await;
                assert_eq!((end.status, end.is_ours), (200, false));
                assert!(end.broken.is_some());
            }
        }
    });
}

#[test]
fn broken_chunks_are_not_passed_on_and_no_end_is_invented() {
    run(async {
        let world = World::new().await;
        let (mut client, mut upstream) = world.asked(GET).await;
        upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
        client.head().await;
        client.expect("5\r\nhello\r\n").await;
        upstream.send("5\nworld\r\n0\r\n\r\n").await;
        client.is_cut().await;
        upstream.is_cut().await;
    });
}

#[test]
fn an_answer_that_only_ends_with_its_connection_is_cut_by_a_reset() {
    run(async {
        let world = World::new().await;
        let (mut client, mut upstream) = world.asked("GET / HTTP/1.0\r\n\r\n").await;
        upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
        client.head().await;
        client.expect("hello").await;
        drop(upstream);
        let error = client.rest().await.expect_err("an end would look like a whole answer");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn an_answer_until_close_that_is_reset_has_no_last_chunk() {
    run(async {
        let world = World::new().await;
        let (mut client, mut upstream) = world.asked(GET).await;
        upstream.send("HTTP/1.1 200 OK\r\n\r\nhello").await;
        client.head().await;
        client.expect("5\r\nhello\r\n").await;
        upstream.reset();
        client.is_cut().await;
    });
}

#[test]
fn bytes_behind_an_answer_end_the_trust_in_its_connection() {
    run(async {
        let world = World::new().await;
        let forged = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
        ] {
            let (mut client, mut upstream) = world.asked(GET).await;
            upstream.send(format!("{answer}{forged}")).await;
            assert_ne!(client.message().await.text(), "forged");
            upstream.is_cut().await;
            client.send(GET).await;
            let mut fresh = world.upstream().await;
            fresh.head().await;
            fresh
                .send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\ntrue")
                .await;
            assert_eq!(client.message().await.text(), "true");
        }
    });
}

#[test]
fn bytes_that_come_when_nobody_has_asked_end_the_trust_as_well() {
    run(async {
        let world = World::new().await;
        let (mut client, mut upstream) = world.asked(GET).await;
        upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
        assert_eq!(client.message().await.text(), "hello");
        upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged").await;
        client.send(GET).await;
        let mut fresh = world.upstream().await;
        fresh.head().await;
        fresh.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue").await;
        assert_eq!(client.message().await.text(), "true");
    });
}

#[test]
fn a_malformed_body_is_refused_and_the_upstream_left_in_the_middle_of_it() {
    run(async {
        let mut world = World::new().await;
        let (mut client, mut upstream) =
            world.asked("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        client.send("5\r\nhello\r\n").await;
        upstream.expect("5\r\nhello\r\n").await;
        client.send(format!("5\nworld\r\n0\r\n\r\n{NEXT}")).await;
        assert_eq!(client.message().await.second_word(), "502");
        client.ends().await;
        upstream.is_cut().await;
        let end = world.end().await;
        assert_eq!(end.broken.as_deref(), Some("the request body is malformed"));
    });
}

#[test]
fn an_answer_is_passed_on_although_its_sender_reads_no_more() {
    run(async {
        let world = World::new().await;
        let mut client = world.client().await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n").await;
        let mut upstream = world.upstream().await;
        upstream.head().await;
        upstream.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno").await;
        drop(upstream);
        let piece = vec![b'x'; 65536];
        while client.try_send(&piece).await.is_ok() {}
        let answer = client.message().await;
        assert_eq!((answer.second_word(), answer.text()), ("413", "no"));
    });
}
