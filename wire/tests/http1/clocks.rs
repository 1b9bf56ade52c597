//! Every wait has a clock, and the client is told which one ran out.

use std::time::Duration;

use hatchway_wire::http1::Settings;

use super::kit::{Still, World, run};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const MOMENT: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_head_has_its_clock_however_often_a_byte_comes() {
    run(async {
        let world = World::new().await;
        let (mut client, tap) = world.tapped_client().await;
        let still = Still::new();
        client.send("GET / HTTP/1.1\r\nX: ").await;
        tap.drained().await;
        for _ in 0..9 {
            still.pass(SECOND).await;
            client.send("x").await;
            tap.drained().await;
        }
        still.pass(SECOND - MOMENT).await;
        client.send("x").await;
        tap.drained().await;
        assert_eq!(world.connections(), 1);
        still.pass(2 * MOMENT).await;
        let answer = client.message().await;
        assert_eq!((answer.second_word(), answer.field("connection")), ("408", Some("close")));
        client.ends().await;
    });
}

#[test]
fn the_clock_of_a_pipelined_head_begins_when_its_turn_has_come() {
    run(async {
        let world = World::new().await;
        let (mut client, mut upstream) = world.asked(&format!("{GET}GET")).await;
        let still = Still::new();
        still.pass(20 * SECOND).await;
        upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        assert_eq!(client.message().await.text(), "ok");
        still.pass(9 * SECOND).await;
        client.send(" /own HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.message().await.text(), "ours");
    });
}

#[test]
fn an_idle_connection_ends_without_a_word() {
    run(async {
        let world = World::new().await;
        let still = Still::new();
        let mut client = world.client().await;
        for _ in 0..2 {
            client.send("GET /own HTTP/1.1\r\nHost: a\r\n\r\n").await;
            client.message().await;
            still.pass(74 * SECOND).await;
            assert_eq!(world.connections(), 1);
        }
        still.pass(2 * SECOND).await;
        client.ends().await;
        world.all_closed().await;
    });
}

#[test]
fn a_connection_that_never_sends_ends_as_well() {
    run(async {
        let world = World::new().await;
        let still = Still::new();
        let (mut client, tap) = world.tapped_client().await;
        tap.drained().await;
        tokio::task::yield_now().await;
        still.pass(76 * SECOND).await;
        drop(tap);
        client.ends().await;
    });
}

#[test]
fn a_function_that_does_not_answer_is_answered_for() {
    run(async {
        let mut world = World::new().await;
        let still = Still::new();
        let (mut client, tap) = world.tapped_client().await;
        client.send(GET).await;
        let mut upstream = world.upstream().await;
        upstream.head().await;
        tap.drained().await;
        still.pass(30 * SECOND - MOMENT).await;
        assert!(world.told().len() == 1, "it is still waited for");
        still.pass(2 * MOMENT).await;
        let answer = client.message().await;
        assert_eq!(answer.text(), "the first-byte clock ran out");
        upstream.is_cut().await;
        client.send("GET /own HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.message().await.text(), "ours");
    });
}

#[test]
fn interim_answers_do_not_wind_up_the_first_byte_clock() {
    run(async {
        let world = World::new().await;
        let still = Still::new();
        let (mut client, mut upstream) = world.asked(GET).await;
        for _ in 0..3 {
            still.pass(9 * SECOND).await;
            upstream.send("HTTP/1.1 103 Early Hints\r\n\r\n").await;
            assert_eq!(client.message().await.second_word(), "103");
        }
        still.pass(3 * SECOND + MOMENT).await;
        assert_eq!(client.message().await.text(), "the first-byte clock ran out");
    });
}

#[test]
fn an_answer_that_stops_is_cut() {
    run(async {
        let mut world = World::new().await;
        let still = Still::new();
        let (mut client, mut upstream) = world.asked(GET).await;
        upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n").await;
        client.head().await;
        for byte in [b"a", b"b"] {
            upstream.send(byte).await;
            client.expect(byte).await;
            still.pass(59 * SECOND).await;
        }
        still.pass(2 * SECOND).await;
        client.is_cut().await;
        assert_eq!(world.end().await.broken.as_deref(), Some("the idle clock ran out"));
    });
}

#[test]
fn an_answer_that_never_ends_is_cut_by_the_run_clock() {
    run(async {
        let mut world = World::new().await;
        let still = Still::new();
        let (mut client, mut upstream) = world.asked(GET).await;
        upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        client.head().await;
        for _ in 0..10 {
            upstream.send("1\r\na\r\n").await;
            client.expect("1\r\na\r\n").await;
            still.pass(30 * SECOND - MOMENT).await;
        }
        still.pass(2 * SECOND).await;
        client.is_cut().await;
        assert_eq!(world.end().await.broken.as_deref(), Some("the run clock ran out"));
    });
}

#[test]
fn a_body_that_dribbles_is_refused_and_its_function_freed() {
    run(async {
        let mut world = World::new().await;
        let still = Still::new();
        let (mut client, mut upstream) =
            world.asked("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n").await;
        for _ in 0..19 {
            client.send("x").await;
            upstream.expect("x").await;
            still.pass(SECOND).await;
        }
        client.send("x").await;
        upstream.expect("x").await;
        still.pass(SECOND + MOMENT).await;
        let answer = client.message().await;
        assert_eq!(
            (answer.text(), answer.field("connection")),
            ("the client was too slow", Some("close"))
        );
        upstream.is_cut().await;
        assert!(world.end().await.is_ours);
    });
}

#[test]
fn a_body_at_its_own_pace_is_waited_for_where_no_rate_is_set_or_an_answer_has_begun() {
    run(async {
        let still = Still::new();
        let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n";
        let free = World::with(Settings { body_rate: None, ..Settings::default() }).await;
        let watched = World::new().await;
        for (world, is_answered) in [(&free, false), (&watched, true)] {
            let (mut client, mut upstream) = world.asked(request).await;
            if is_answered {
                upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
                client.head().await;
            }
            for _ in 0..3 {
                still.pass(50 * SECOND).await;
                client.send("x").await;
                upstream.expect("x").await;
            }
        }
    });
}

#[test]
fn a_client_that_does_not_send_is_told_so_and_not_the_function_blamed() {
    run(async {
        let world = World::with(Settings { body_rate: None, ..Settings::default() }).await;
        let still = Still::new();
        let (mut client, mut upstream) =
            world.asked("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n").await;
        client.send("x").await;
        upstream.expect("x").await;
        still.pass(60 * SECOND + MOMENT).await;
        assert_eq!(client.message().await.text(), "the client was too slow");
    });
}

#[test]
fn an_answer_of_ours_that_is_not_read_is_cut() {
    run(async {
        let file = tempfile::tempfile().expect("there is a place for temporary files");
        file.set_len(64 * 1024 * 1024).expect("a file can be large");
        let mut world = World::with_file(Settings::default(), Some(file)).await;
        let still = Still::new();
        let (mut client, tap) = world.tapped_client().await;
        client.send("GET /file HTTP/1.1\r\nHost: a\r\n\r\n").await;
        client.head().await;
        tap.drained().await;
        // The kernel's buffers fill; then nothing moves.
        world.settled().await;
        still.pass(30 * SECOND + MOMENT).await;
        let end = world.end().await;
        assert_eq!(end.broken.as_deref(), Some("the client was too slow"));
        drop(tap);
    });
}
