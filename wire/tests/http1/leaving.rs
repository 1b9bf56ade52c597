//! A client that leaves is noticed at once, whatever is being done for it.

use super::kit::{Event, Peer, World, run};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const LEFT: Option<&str> = Some("the client left");

/// Two ways to leave: by an end, as a program that is closed does, and by a reset.
fn leave(client: Peer, way: usize) {
    if way == 0 { drop(client) } else { client.reset() }
}

#[test]
fn while_somebody_is_looked_for_who_answers() {
    run(async {
        let mut world = World::new().await;
        for way in 0..2 {
            let mut client = world.client().await;
            client.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert!(matches!(world.event().await, Event::Connecting));
            leave(client, way);
            assert!(matches!(world.event().await, Event::Left), "the search is given up");
            let end = world.end().await;
            assert_eq!((end.status, end.broken.as_deref()), (0, LEFT));
            world.all_closed().await;
        }
    });
}

#[test]
fn while_it_still_sends_its_body_to_nobody() {
    run(async {
        let mut world = World::new().await;
        let (mut client, tap) = world.tapped_client().await;
        client.send("POST /held HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\nabc").await;
        assert!(matches!(world.event().await, Event::Connecting));
        client.send("def").await;
        tap.drained().await;
        drop(client);
        assert!(matches!(world.event().await, Event::Left));
    });
}

#[test]
fn while_the_function_works() {
    run(async {
        let mut world = World::new().await;
        for way in 0..2 {
            let (client, mut upstream) = world.asked(GET).await;
            leave(client, way);
            upstream.ends().await;
            let end = world.end().await;
            assert_eq!((end.status, end.broken.as_deref()), (0, LEFT));
            world.all_closed().await;
        }
    });
}

#[test]
fn half_a_close_while_the_function_works_is_leaving() {
    run(async {
        let mut world = World::new().await;
        let (mut client, mut upstream) = world.asked(GET).await;
        client.shutdown().await;
        upstream.ends().await;
        client.is_cut().await;
        assert_eq!(world.end().await.broken.as_deref(), LEFT);
    });
}

#[test]
fn in_the_middle_of_its_body() {
    run(async {
        let mut world = World::new().await;
        for (way, framing) in
            ["Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"]
                .into_iter()
                .enumerate()
        {
            let mut client = world.client().await;
            client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}")).await;
            let mut upstream = world.upstream().await;
            upstream.head().await;
            let (_, body) = framing.split_once("\r\n\r\n").unwrap();
            upstream.expect(body).await;
            leave(client, way);
            // The function sees an end before the end of the message, and not a last chunk.
            upstream.is_cut().await;
            assert_eq!(world.end().await.broken.as_deref(), LEFT);
        }
    });
}

#[test]
fn in_the_middle_of_its_answer() {
    run(async {
        let mut world = World::new().await;
        for way in 0..2 {
            let (mut client, mut upstream) = world.asked(GET).await;
            upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await;
            client.head().await;
            client.expect("hello").await;
            leave(client, way);
            upstream.is_cut().await;
            let end = world.end().await;
            assert_eq!((end.status, end.broken.as_deref()), (200, LEFT));
        }
    });
}

#[test]
fn while_the_function_answers_and_reads_no_further() {
    run(async {
        let mut world = World::new().await;
        let mut client = world.client().await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n").await;
        let mut upstream = world.upstream().await;
        upstream.head().await;
        upstream.send("HTTP/1.1 413 No\r\nContent-Length: 10\r\n\r\nhello").await;
        client.head().await;
        client.expect("hello").await;
        drop(client);
        upstream.is_cut().await;
        assert_eq!(world.end().await.broken.as_deref(), LEFT);
    });
}

#[test]
fn between_two_requests_nobody_is_told() {
    run(async {
        let mut world = World::new().await;
        for way in 0..2 {
            let mut client = world.client().await;
            client.send("GET /own HTTP/1.1\r\nHost: a\r\n\r\n").await;
            client.message().await;
            leave(client, way);
            world.all_closed().await;
            assert_eq!(world.told().len(), 2, "one request began and ended");
        }
    });
}

#[test]
fn in_the_middle_of_a_head_nobody_is_told() {
    run(async {
        let mut world = World::new().await;
        let mut client = world.client().await;
        client.send("GET / HTT").await;
        client.shutdown().await;
        client.ends().await;
        world.all_closed().await;
        assert!(world.told().is_empty());
    });
}
