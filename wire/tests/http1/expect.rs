//! Interim answers: 100 is ours to give, others are passed on.

use super::kit::{World, run};

const WAITING: &str =
    "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[test]
fn a_client_that_waits_is_asked_for_its_body_once_there_is_a_reader() {
    run(async {
        let world = World::new().await;
        let (mut client, mut upstream) = world.asked(WAITING).await;
        client.expect(CONTINUE).await;
        client.send("hello").await;
        upstream.expect("hello").await;
        // That of the upstream is its answer to nobody.
        upstream.send(format!("{CONTINUE}{OK}")).await;
        assert_eq!(client.message().await.second_word(), "200");
        client.send(WAITING).await;
        upstream.head().await;
        client.expect(CONTINUE).await;
    });
}

#[test]
fn a_client_that_has_begun_with_its_body_is_not_asked_for_it() {
    run(async {
        let world = World::new().await;
        let mut client = world.client().await;
        client.send(format!("{WAITING}he")).await;
        let mut upstream = world.upstream().await;
        upstream.head().await;
        client.send("llo").await;
        upstream.expect("hello").await;
        upstream.send(OK).await;
        assert_eq!(client.message().await.second_word(), "200");
    });
}

#[test]
fn a_client_that_is_refused_is_not_asked_for_its_body() {
    run(async {
        let world = World::new().await;
        let mut client = world.client().await;
        client.send(WAITING.replace("POST /", "POST /own")).await;
        let answer = client.message().await;
        assert_eq!((answer.text(), answer.field("connection")), ("ours", Some("close")));
        client.ends().await;
    });
}

#[test]
fn a_client_is_not_asked_for_its_body_once_the_answer_has_begun() {
    run(async {
        let world = World::new().await;
        world.narrow(4096);
        let mut client = world.client().await;
        // So large a head that the upstream, which does not read, holds it up half-way.
        let padding = "x".repeat(60_000);
        let request = WAITING.replace("Host: a", &format!("Host: a\r\nX: {padding}"));
        client.send(&request).await;
        let mut upstream = world.upstream().await;
        upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        client.expect("hello").await;
        upstream.head().await;
        client.send("hello").await;
        upstream.expect("hello").await;
        upstream.send("world").await;
        client.expect("world").await;
    });
}

#[test]
fn a_client_of_http_10_waits_for_nothing() {
    run(async {
        let world = World::new().await;
        let mut client = world.client().await;
        client.send(WAITING.replace("HTTP/1.1", "HTTP/1.0")).await;
        client.send("hello").await;
        let mut upstream = world.upstream().await;
        assert_eq!(upstream.message().await.text(), "hello");
        upstream.send(format!("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n{OK}")).await;
        assert_eq!(client.message().await.second_word(), "200");
    });
}

#[test]
fn early_hints_reach_the_client_before_the_answer() {
    run(async {
        let world = World::new().await;
        let (mut client, mut upstream) = world.asked("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        for hint in ["</a>", "</b>"] {
            upstream.send(format!("HTTP/1.1 103 Early Hints\r\nLink: {hint}\r\n\r\n")).await;
            let interim = client.message().await;
            assert_eq!((interim.second_word(), interim.field("link")), ("103", Some(hint)));
            assert_eq!(interim.field("connection"), None);
        }
        upstream.send(OK).await;
        assert_eq!(client.message().await.second_word(), "200");
    });
}

#[test]
fn when_the_upstream_fails_behind_an_interim_answer_ours_takes_the_place_of_its_final_one() {
    run(async {
        let world = World::new().await;
        let (mut client, mut upstream) = world.asked(WAITING).await;
        client.expect(CONTINUE).await;
        upstream.send("HTTP/1.1 103 Early Hints\r\n\r\n").await;
        assert_eq!(client.message().await.second_word(), "103");
        drop(upstream);
        assert_eq!(client.message().await.second_word(), "502");
        client.ends().await;
    });
}
