//! Connections between two requests: used again while they are good, never when they may not be.

use std::time::Duration;

use hatchway_wire::Stream;
use hatchway_wire::http1::idle::Idle;
use tokio::net::{TcpListener, TcpStream};

use super::kit::{Peer, Still, Tap, World, run};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn one_connection_carries_the_requests_of_many_clients() {
    run(async {
        let world = World::new().await;
        let (mut client, mut upstream) = world.asked(GET).await;
        upstream.send(OK).await;
        client.message().await;
        for _ in 0..3 {
            let mut client = world.client().await;
            client.send(GET).await;
            upstream.head().await;
            upstream.send(OK).await;
            assert_eq!(client.message().await.text(), "ok");
        }
    });
}

#[test]
fn a_connection_that_was_closed_while_it_was_idle_is_not_used() {
    run(async {
        let world = World::new().await;
        for reset in [false, true] {
            let (mut client, mut upstream) = world.asked(GET).await;
            upstream.send(OK).await;
            client.message().await;
            if reset {
                upstream.reset()
            } else {
                drop(upstream)
            }
            client.send(GET).await;
            let mut fresh = world.upstream().await;
            fresh.head().await;
            fresh.send(OK.replace("OK\r\n", "OK\r\nConnection: close\r\n")).await;
            assert_eq!(client.message().await.second_word(), "200");
        }
    });
}

#[test]
fn a_connection_is_kept_up_to_a_limit() {
    run(async {
        let still = Still::new();
        let (idle, limit) = (Idle::<u8>::default(), Duration::from_secs(5));
        let (stream, _peer) = pair().await;
        idle.put(1, stream);
        assert!(idle.take(&2, limit).is_none());
        still.pass(limit - Duration::from_millis(1)).await;
        let stream = idle.take(&1, limit).expect("it is young enough");
        idle.put(1, stream);
        still.pass(limit).await;
        assert!(idle.take(&1, limit).is_none());
    });
}

#[test]
fn what_is_too_old_or_closed_is_swept_although_nobody_asks_for_it() {
    run(async {
        let still = Still::new();
        let (idle, limit) = (Idle::<u8>::default(), Duration::from_secs(5));
        let (old, mut old_peer) = pair().await;
        idle.put(1, old);
        still.pass(limit).await;
        let (closed, closed_peer) = pair().await;
        drop(closed_peer);
        while closed.is_quiet() {
            tokio::task::yield_now().await;
        }
        idle.put(1, closed);
        let (good, _good_peer) = pair().await;
        idle.put(1, good);
        idle.keep_swept(limit);
        // It has begun to wait.
        tokio::task::yield_now().await;
        still.pass(Duration::from_millis(1001)).await;
        old_peer.ends().await;
        assert!(idle.take(&1, limit).is_some(), "the good one is there");
        assert!(idle.take(&1, limit).is_none(), "and no other");
    });
}

#[test]
fn a_closed_connection_is_not_taken_for_a_quiet_one_by_a_task_that_has_used_up_its_turn() {
    run(async {
        let (stream, peer) = pair().await;
        assert!(stream.is_quiet() && stream.is_silent());
        drop(peer);
        while stream.is_quiet() {
            tokio::task::yield_now().await;
        }
        // What a task of the runtime may do before it has to yield, and more.
        let (used_up, looked) = tokio::sync::oneshot::channel();
        tokio::task::spawn_local(async move {
            let (mut other, _peer) = pair().await;
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            while tokio::task::coop::has_budget_remaining() {
                let _ = other.poll_write(&mut cx, b"x");
            }
            let _ = used_up.send(stream.is_quiet());
        });
        assert!(!looked.await.expect("the task ends"));
    });
}

#[test]
fn a_request_that_meets_a_closing_connection_is_sent_on_another() {
    run(async {
        let mut world = World::new().await;
        let (mut client, mut upstream) = world.asked(GET).await;
        upstream.send(OK).await;
        client.message().await;
        // Both directions are dead, and the engine's runtime has not heard of it.
        let stale = world.service.idle.take(&(), Duration::from_secs(60)).expect("it was kept");
        let tap = tap(&stale);
        world.service.stale.set(Some(stale));
        tap.break_off();
        client.send("POST /again HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").await;
        let mut fresh = world.upstream().await;
        let request = fresh.message().await;
        assert_eq!((request.second_word(), request.text()), ("/again", "hello"));
        fresh.send(OK).await;
        assert_eq!(client.message().await.text(), "ok");
        assert_eq!(world.end().await.broken, None);
    });
}

#[test]
fn a_request_of_which_a_byte_was_sent_is_never_sent_again() {
    run(async {
        let world = World::new().await;
        let (mut client, upstream) = world.asked(GET).await;
        drop(upstream);
        assert_eq!(client.message().await.second_word(), "502");
        client.send("GET /own HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.message().await.text(), "ours");
        world.nobody_connects();
    });
}

#[test]
fn a_full_queue_of_a_unix_socket_is_waited_for() {
    run(async {
        let folder = tempfile::tempdir().expect("there is a place for temporary files");
        let path = folder.path().join("s");
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None);
        let socket = socket.expect("a socket can be made");
        socket.bind(&socket2::SockAddr::unix(&path).expect("a short path")).expect("it is free");
        socket.listen(0).expect("it can listen");
        let first = Stream::connect_unix(&path).await.expect("one fits the queue");
        let second = tokio::task::spawn_local(async move { Stream::connect_unix(&path).await });
        tokio::task::yield_now().await;
        let accepted = socket.accept().expect("the first one waits");
        let second = second.await.expect("no panic");
        assert!(second.is_ok(), "{second:?}");
        drop((first, accepted));
    });
}

/// The engine's end of a connection, and the test's.
async fn pair() -> (Stream, Peer) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
    let address = listener.local_addr().expect("a listener has an address");
    let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
    (Stream::Tcp(ours.expect("it listens")), Peer::new(theirs.expect("we came").0))
}

fn tap(stream: &Stream) -> Tap {
    match stream {
        Stream::Tcp(stream) => Tap::new(stream),
        _ => unreachable!("the pair is of TCP"),
    }
}
