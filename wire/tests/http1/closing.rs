//! How connections end: after a last answer, and when the core drains.

use std::time::Duration;

use hatchway_wire::http1::Settings;
use hatchway_wire::http1::settings::Linger;

use super::kit::{Still, World, run};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OWN: &str = "GET /own HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn a_client_that_sends_on_reads_its_answer_all_the_same() {
    run(async {
        let world = World::new().await;
        let mut client = world.client().await;
        client.send("POST /own HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n").await;
        client.send([b'x'; 20_000]).await;
        // A reset would have overtaken the answer.
        client.send([b'x'; 20_000]).await;
        assert_eq!(client.message().await.text(), "ours");
        client.ends().await;
        drop(client);
        world.all_closed().await;
    });
}

#[test]
fn a_client_that_never_stops_sending_is_left_after_the_linger_clock() {
    run(async {
        let linger = Linger { bytes: 1000, ..Settings::default().linger };
        let world = World::with(Settings { linger, ..Settings::default() }).await;
        let mut client = world.client().await;
        client.send("POST /own HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n").await;
        assert_eq!(client.message().await.text(), "ours");
        client.send([b'x'; 5000]).await;
        client.ends().await;
        let still = Still::new();
        still.pass(linger.clock - Duration::from_millis(100)).await;
        assert_eq!(world.connections(), 1);
        still.pass(Duration::from_millis(200)).await;
        world.all_closed().await;
    });
}

#[test]
fn a_client_that_has_said_its_last_word_is_closed_without_lingering() {
    run(async {
        let world = World::new().await;
        let (mut client, mut upstream) =
            world.asked("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        upstream.send(OK).await;
        assert_eq!(client.message().await.text(), "ok");
        client.ends().await;
        // The client is still there: nothing was waited for.
        world.all_closed().await;
        drop(client);
    });
}

#[test]
fn an_idle_connection_stays_open_for_the_grace_of_a_drain() {
    run(async {
        let grace = Settings::default().drain_grace;
        let world = World::new().await;
        let mut client = world.client().await;
        client.send(OWN).await;
        client.message().await;
        let still = Still::new();
        world.ticker.drain();
        still.pass(grace - Duration::from_millis(100)).await;
        assert_eq!(world.connections(), 1);
        still.pass(Duration::from_millis(200)).await;
        client.ends().await;
        world.all_closed().await;
    });
}

#[test]
fn a_request_in_the_grace_of_a_drain_is_served_and_is_the_last() {
    run(async {
        let world = World::new().await;
        let mut client = world.client().await;
        client.send(OWN).await;
        client.message().await;
        world.ticker.drain();
        client.send(OWN).await;
        let answer = client.message().await;
        assert_eq!((answer.text(), answer.field("connection")), ("ours", Some("close")));
        client.ends().await;
    });
}

#[test]
fn a_request_under_way_is_finished_by_a_drain_and_is_the_last() {
    run(async {
        let world = World::new().await;
        let (mut client, mut upstream) = world.asked(GET).await;
        world.ticker.drain();
        upstream.send(OK).await;
        let answer = client.message().await;
        assert_eq!((answer.text(), answer.field("connection")), ("ok", Some("close")));
        client.ends().await;
    });
}

#[test]
fn a_head_under_way_is_read_to_its_end_by_a_drain() {
    run(async {
        let world = World::new().await;
        let (mut client, tap) = world.tapped_client().await;
        client.send(&OWN[..10]).await;
        tap.drained().await;
        let still = Still::new();
        world.ticker.drain();
        still.pass(Duration::from_secs(5)).await;
        client.send(&OWN[10..]).await;
        assert_eq!(client.message().await.text(), "ours");
    });
}

#[test]
fn an_answer_under_way_is_finished_by_a_drain() {
    run(async {
        let world = World::new().await;
        let (mut client, mut upstream) = world.asked(GET).await;
        upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await;
        assert_eq!(client.head().await.matches("Connection").count(), 0);
        client.expect("hello").await;
        world.ticker.drain();
        upstream.send("world").await;
        client.expect("world").await;
        let still = Still::new();
        still.pass(Duration::from_secs(1)).await;
        client.ends().await;
    });
}
