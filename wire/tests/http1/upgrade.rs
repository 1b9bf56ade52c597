//! Leaving HTTP: only when both sides want it, and then without looking at a byte.

use std::time::Duration;

use super::kit::{Peer, Still, World, run};

const WANTS: &str =
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

async fn tunnel(world: &World) -> (Peer, Peer) {
    let mut client = world.client().await;
    client.send(WANTS).await;
    let mut upstream = world.upstream().await;
    let head = upstream.head().await;
    assert!(head.contains("Connection: upgrade\r\n") && head.contains("Upgrade: websocket\r\n"));
    upstream.send(SWITCH).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("Connection: upgrade\r\nUpgrade: websocket\r\n"), "{head}");
    (client, upstream)
}

#[test]
fn after_the_switch_bytes_pass_both_ways_as_they_are() {
    run(async {
        let mut world = World::new().await;
        let (mut client, mut upstream) = tunnel(&world).await;
        client.send(b"\x81\x05hello\r\n\r\n\0").await;
        upstream.expect(b"\x81\x05hello\r\n\r\n\0").await;
        upstream.send("HTTP/1.1 200 OK\r\n\r\n").await;
        client.expect("HTTP/1.1 200 OK\r\n\r\n").await;
        drop(client);
        upstream.ends().await;
        drop(upstream);
        let end = world.end().await;
        assert_eq!((end.status, end.broken), (101, None));
        world.all_closed().await;
    });
}

#[test]
fn what_either_side_sends_with_its_head_belongs_to_the_tunnel() {
    run(async {
        let world = World::new().await;
        let mut client = world.client().await;
        client.send(format!("{WANTS}early")).await;
        let mut upstream = world.upstream().await;
        upstream.head().await;
        upstream.send(format!("{SWITCH}first")).await;
        upstream.expect("early").await;
        client.head().await;
        client.expect("first").await;
    });
}

#[test]
fn one_side_may_end_while_the_other_goes_on() {
    run(async {
        let world = World::new().await;
        let (mut client, mut upstream) = tunnel(&world).await;
        client.shutdown().await;
        upstream.ends().await;
        upstream.send("still here").await;
        client.expect("still here").await;
        drop(upstream);
        client.ends().await;
        world.all_closed().await;
    });
}

#[test]
fn a_reset_of_either_side_ends_both() {
    run(async {
        let mut world = World::new().await;
        let (client, mut upstream) = tunnel(&world).await;
        client.reset();
        upstream.is_cut().await;
        assert_eq!(world.end().await.broken.as_deref(), Some("the client left"));
        let (mut client, upstream) = tunnel(&world).await;
        upstream.reset();
        client.is_cut().await;
        let broken = world.end().await.broken;
        assert_eq!(broken.as_deref(), Some("the connection to the upstream broke"));
    });
}

#[test]
fn a_tunnel_in_which_nothing_moves_is_ended() {
    run(async {
        let mut world = World::new().await;
        let (mut client, mut upstream) = tunnel(&world).await;
        client.send("a").await;
        upstream.expect("a").await;
        let still = Still::new();
        still.pass(Duration::from_secs(61)).await;
        client.is_cut().await;
        upstream.is_cut().await;
        assert_eq!(world.end().await.broken.as_deref(), Some("the idle clock ran out"));
    });
}

#[test]
fn a_refused_upgrade_is_an_answer_like_others() {
    run(async {
        let world = World::new().await;
        let (mut client, mut upstream) = world.asked(WANTS).await;
        upstream.send("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno").await;
        assert_eq!(client.message().await.text(), "no");
        client.send("GET /own HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.message().await.text(), "ours");
    });
}

#[test]
fn bytes_behind_a_refused_upgrade_are_no_request() {
    run(async {
        let mut world = World::new().await;
        let mut client = world.client().await;
        client.send(format!("{WANTS}GET /own HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let mut upstream = world.upstream().await;
        upstream.head().await;
        upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno").await;
        let answer = client.message().await;
        assert_eq!((answer.text(), answer.field("connection")), ("no", Some("close")));
        client.ends().await;
        assert_eq!(world.told().len(), 2, "one request began and ended");
    });
}

#[test]
fn a_switch_that_was_not_asked_for_is_no_answer() {
    run(async {
        let mut world = World::new().await;
        let h2c = WANTS.replace("websocket", "h2c");
        let list = WANTS.replace("websocket", "h2c, websocket");
        let plain = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for request in [plain, h2c.as_str(), list.as_str()] {
            let mut client = world.client().await;
            client.send(request).await;
            let mut upstream = world.upstream().await;
            let head = upstream.head().await.to_lowercase();
            assert!(!head.contains("upgrade"), "{head}");
            upstream.send(SWITCH).await;
            assert_eq!(client.message().await.second_word(), "502");
            upstream.is_cut().await;
            let broken = world.end().await.broken;
            assert_eq!(broken.as_deref(), Some("the upstream switched protocols unasked"));
        }
    });
}

#[test]
fn a_switch_to_another_protocol_is_no_answer() {
    run(async {
        let world = World::new().await;
        for switch in [SWITCH.replace("websocket", "h2c"), "HTTP/1.1 101 A\r\n\r\n".to_owned()] {
            let (mut client, mut upstream) = world.asked(WANTS).await;
            upstream.send(switch).await;
            assert_eq!(client.message().await.second_word(), "502");
        }
    });
}

#[test]
fn a_switch_before_the_request_is_over_is_no_answer() {
    run(async {
        let world = World::new().await;
        let request = WANTS.replace("\r\n\r\n", "\r\nContent-Length: 5\r\n\r\n");
        let (mut client, mut upstream) = world.asked(&request).await;
        upstream.send(SWITCH).await;
        assert_eq!(client.message().await.second_word(), "502");
        upstream.is_cut().await;
    });
}

#[test]
fn a_client_is_told_behind_the_frame_that_this_end_goes_away_and_hears_nothing_more() {
    run(async {
        let world = World::new().await;
        let (mut client, mut upstream) = tunnel(&world).await;
        upstream.send(b"\x81\x05he").await;
        client.expect(b"\x81\x05he").await;
        let still = Still::new();
        world.ticker.drain();
        world.settled().await;
        still.pass(Duration::from_secs(3)).await;
        upstream.send(b"llo\x81\x01x").await;
        client.expect(b"llo\x88\x02\x03\xe9").await;
        client.send(b"\x88\x82mask\x6e\x88").await;
        upstream.expect(b"\x88\x82mask\x6e\x88").await;
        upstream.send(b"\x88\x02\x03\xe9").await;
        drop(upstream);
        client.ends().await;
        drop(client);
        world.all_closed().await;
    });
}

#[test]
fn one_that_says_nothing_is_told_as_well() {
    run(async {
        let world = World::new().await;
        let (mut client, mut upstream) = tunnel(&world).await;
        let still = Still::new();
        world.ticker.drain();
        world.settled().await;
        still.pass(Duration::from_secs(3)).await;
        client.expect(b"\x88\x02\x03\xe9").await;
        drop(client);
        upstream.ends().await;
    });
}
