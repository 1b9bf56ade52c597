//! Several requests on one connection: each gets its own answer, in order, and nothing else is a request.

use super::kit::{World, run};

const A: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
const B: &str = "GET /b HTTP/1.1\r\nHost: a\r\n\r\n";
const OWN: &str = "GET /own HTTP/1.1\r\nHost: a\r\n\r\n";

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn two_requests_at_once_are_answered_one_after_the_other() {
    run(async {
        let world = World::new().await;
        let mut client = world.client().await;
        client.send(format!("{A}{B}")).await;
        let mut upstream = world.upstream().await;
        for (target, body) in [("/a", "first"), ("/b", "second")] {
            assert_eq!(upstream.message().await.second_word(), target);
            upstream.send(ok(body)).await;
            assert_eq!(client.message().await.text(), body);
        }
    });
}

#[test]
fn a_request_behind_a_body_is_the_next_one() {
    run(async {
        let world = World::new().await;
        let mut client = world.client().await;
        for (fields, body) in
            [("Content-Length: 3", "abc"), ("Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n")]
        {
            client
                .send(format!("POST /p HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{body}{OWN}"))
                .await;
            let mut upstream = world.upstream().await;
            assert_eq!(upstream.message().await.text(), "abc");
            upstream.send(ok("one").replace("OK\r\n", "OK\r\nConnection: close\r\n")).await;
            assert_eq!(client.message().await.text(), "one");
            assert_eq!(client.message().await.text(), "ours");
        }
    });
}

#[test]
fn hundreds_of_requests_in_one_write_are_all_answered() {
    run(async {
        let world = World::new().await;
        let mut client = world.client().await;
        client.send(format!("{A}{OWN}").repeat(300)).await;
        let mut upstream = world.upstream().await;
        for number in 0..300 {
            upstream.head().await;
            upstream.send(ok(&number.to_string())).await;
            assert_eq!(client.message().await.text(), number.to_string());
            assert_eq!(client.message().await.text(), "ours");
        }
    });
}

#[test]
fn a_body_that_is_not_read_is_never_a_request() {
    run(async {
        let mut world = World::new().await;
        let mut client = world.client().await;
        let head =
            format!("POST /own HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", A.len() + 1);
        client.send(format!("{head}{A}")).await;
        let answer = client.message().await;
        assert_eq!((answer.text(), answer.field("connection")), ("ours", Some("close")));
        client.ends().await;
        drop(client);
        world.all_closed().await;
        let paths: Vec<_> = world.told();
        assert_eq!(paths.len(), 2, "one request began and ended: {paths:?}");
    });
}

#[test]
fn a_whole_body_that_nobody_reads_is_skipped() {
    run(async {
        let world = World::new().await;
        let mut client = world.client().await;
        client
            .send(format!("POST /own HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc{OWN}"))
            .await;
        for _ in 0..2 {
            let answer = client.message().await;
            assert_eq!((answer.text(), answer.field("connection")), ("ours", None));
        }
    });
}

#[test]
fn an_early_answer_ends_the_connection_and_the_rest_of_the_body_is_no_request() {
    run(async {
        let world = World::new().await;
        let (mut client, mut upstream) =
            world.asked("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n").await;
        upstream.send(ok("no")).await;
        assert_eq!(client.message().await.text(), "no");
        client.send(OWN).await;
        client.ends().await;
        upstream.is_cut().await;
    });
}

#[test]
fn nothing_is_served_behind_a_request_to_close() {
    run(async {
        let mut world = World::new().await;
        let mut client = world.client().await;
        client
            .send(format!("GET /own HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n{OWN}"))
            .await;
        assert_eq!(client.message().await.text(), "ours");
        client.ends().await;
        assert_eq!(world.told().len(), 2, "one request began and ended");
    });
}

#[test]
fn one_malformed_head_ends_the_connection() {
    run(async {
        let mut world = World::new().await;
        let mut client = world.client().await;
        client.send(format!("{OWN}GET / HTTP/1.1\r\nHost : a\r\n\r\n{OWN}")).await;
        assert_eq!(client.message().await.text(), "ours");
        let answer = client.message().await;
        assert_eq!((answer.second_word(), answer.field("connection")), ("400", Some("close")));
        client.ends().await;
        let ends = [world.end().await, world.end().await];
        assert_eq!(ends.map(|end| end.path), [Some("/own".to_owned()), None]);
    });
}

#[test]
fn a_service_may_refuse_by_the_head_alone() {
    run(async {
        let mut world = World::new().await;
        let mut client = world.client().await;
        client.send(format!("GET /last HTTP/1.1\r\nHost: a\r\n\r\n{OWN}")).await;
        let answer = client.message().await;
        assert_eq!((answer.second_word(), answer.text()), ("403", "no more"));
        client.ends().await;
        let end = world.end().await;
        assert_eq!((end.path, end.status, end.is_ours), (None, 403, true));
    });
}
