//! How requests and connections end when not by a whole answer.

use std::future::poll_fn;
use std::task::Poll;

use h2::Reason;

use crate::kit::run;
use crate::net::{Net, get, read, request, send};

#[test]
fn a_client_that_resets_its_stream_frees_the_upstream_at_once() {
    run(async {
        let mut net = Net::new().await;
        let mut client = net.client().await;
        let (answer, mut stream) = client.ask(get("/"), true).await;
        let mut upstream = net.upstream().await;
        upstream.head().await;
        stream.send_reset(Reason::CANCEL);
        upstream.is_cut().await;
        assert_eq!(net.end().await.broken.as_deref(), Some("the client left"));
        drop(answer);
    });
}

#[test]
fn a_client_that_resets_while_nobody_is_found_leaves_the_queue() {
    run(async {
        let mut net = Net::new().await;
        let mut client = net.client().await;
        let (_answer, mut stream) = client.ask(get("/held"), true).await;
        net.settled().await;
        stream.send_reset(Reason::CANCEL);
        assert_eq!(net.end().await.broken.as_deref(), Some("the client left"));
    });
}

#[test]
fn a_client_that_leaves_ends_all_of_its_requests() {
    run(async {
        let mut net = Net::new().await;
        let mut client = net.client().await;
        let (one, _) = client.ask(get("/held"), true).await;
        let (two, _) = client.ask(get("/"), true).await;
        let mut upstream = net.upstream().await;
        upstream.head().await;
        client.over.abort();
        drop((client, one, two));
        upstream.is_cut().await;
        for _ in 0..2 {
            assert_eq!(net.end().await.broken.as_deref(), Some("the client left"));
        }
        net.connections.none().await;
    });
}

#[test]
fn an_upstream_that_breaks_before_its_answer_is_explained() {
    run(async {
        let mut net = Net::new().await;
        let mut client = net.client().await;
        let broken = async {
            let mut upstream = net.upstream().await;
            upstream.head().await;
            upstream.send("HTTP/1.1 200 OK\nno line end\r\n\r\n").await;
        };
        let (answer, ()) = tokio::join!(client.whole(get("/")), broken);
        assert_eq!(
            (answer.status, answer.body),
            (502, b"the head of the answer is malformed".to_vec())
        );
        let end = net.end().await;
        assert_eq!((end.status, end.is_ours), (502, true));
        assert_eq!(end.broken.as_deref(), Some("the head of the answer is malformed"));
    });
}

#[test]
fn an_answer_that_is_cut_is_reset_and_other_streams_go_on() {
    run(async {
        let mut net = Net::new().await;
        let mut client = net.client().await;
        let (answer, _stream) = client.ask(get("/"), true).await;
        let mut upstream = net.upstream().await;
        upstream.head().await;
        upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome").await;
        let (_, mut body) = answer.await.expect("a head").into_parts();
        assert_eq!(body.data().await.expect("some data").expect("is good"), "some");
        drop(upstream);
        let error = body.data().await.expect("not the end").expect_err("the answer was cut");
        assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR));
        let end = net.end().await;
        assert_eq!((end.status, end.is_ours), (200, false));
        assert_eq!(client.whole(get("/own")).await.status, 200);
    });
}

#[test]
fn a_kept_connection_that_was_closed_is_replaced_without_a_word() {
    run(async {
        let net = Net::new().await;
        let mut client = net.client().await;
        let first = async {
            let mut upstream = net.upstream().await;
            upstream.head().await;
            upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            upstream
        };
        let (answer, upstream) = tokio::join!(client.whole(get("/")), first);
        assert_eq!(answer.status, 200);
        upstream.reset();
        let second = async {
            let mut upstream = net.upstream().await;
            upstream.head().await;
            upstream.send("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").await;
        };
        let (answer, ()) = tokio::join!(client.whole(get("/")), second);
        assert_eq!(answer.status, 201);
    });
}

#[test]
fn a_client_that_was_answered_early_may_end_what_it_sends() {
    run(async {
        let net = Net::new().await;
        let mut client = net.client().await;
        let (answer, mut stream) = client.ask(request("POST", "/"), false).await;
        let mut upstream = net.upstream().await;
        upstream.head().await;
        upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes").await;
        let answer = read(answer.await.expect("an answer")).await;
        assert_eq!((answer.status, answer.body), (200, b"yes".to_vec()));
        send(&mut stream, vec![0; 40_000].into(), true).await;
        // Whatever was said to the first stream has been heard before this.
        let second = async {
            let mut upstream = net.upstream().await;
            upstream.head().await;
            upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
        };
        let (answer, ()) = tokio::join!(client.whole(get("/")), second);
        assert_eq!(answer.status, 204);
        assert!(poll_fn(|cx| Poll::Ready(stream.poll_reset(cx).is_pending())).await);
    });
}

#[test]
fn an_early_answer_ends_an_upload_without_an_error() {
    run(async {
        let net = Net::new().await;
        let mut client = net.client().await;
        let (answer, mut stream) = client.ask(request("POST", "/"), false).await;
        let mut upstream = net.upstream().await;
        upstream.head().await;
        upstream.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!").await;
        let answer = read(answer.await.expect("an answer")).await;
        assert_eq!((answer.status, answer.body), (413, b"no!".to_vec()));
        let reason = poll_fn(|cx| stream.poll_reset(cx)).await;
        assert_eq!(reason.expect("the connection lives"), Reason::NO_ERROR);
        upstream.is_cut().await;
    });
}

#[test]
fn a_drain_lets_running_requests_finish_and_takes_no_more() {
    run(async {
        let net = Net::new().await;
        let mut client = net.client().await;
        let (answer, _stream) = client.ask(get("/"), true).await;
        let mut upstream = net.upstream().await;
        upstream.head().await;
        net.ticker.drain();
        net.settled().await;
        upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast").await;
        assert_eq!(read(answer.await.expect("an answer")).await.body, b"last");
        net.connections.none().await;
        client.over.await.expect("the client lives").expect("a good end");
    });
}
