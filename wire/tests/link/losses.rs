//! Links that are lost, and nodes that fall silent.

use std::time::Duration;

use hatchway_proto::link::hello::VERSION;
use hatchway_proto::link::{Frame, Hello, LinkError, LoadSummary};
use hatchway_wire::link::{Broken, Ended};
use tokio::time::Instant;

use super::kit::{Call, Raw, link_to, listener, run};

const HELLO: Frame<'static> = Frame::Hello(Hello {
    lowest: VERSION,
    highest: VERSION,
    features: 0,
    instance: 9,
    first_credit: 65_536,
    calls: 2,
});

#[test]
fn what_was_written_is_lost_with_its_link_and_what_was_not_can_be_sent_again() {
    run(async {
        let (node, address) = listener().await;
        let serving = async {
            let mut peer = Raw::of(node.accept().await.expect("a gateway comes").0);
            peer.say(&[HELLO]).await;
            assert!(peer.hear(|frame| matches!(frame, Frame::Call { .. })).await);
            peer
        };
        let calling = async {
            let link = link_to(address).await.expect("it greets");
            let call = Call::get(&link, "/written").await;
            (link, call)
        };
        let (peer, (link, mut written)) = tokio::join!(serving, calling);
        drop(peer);
        // Not a word of it leaves before the loss is heard of: nothing else has run since.
        let mut unwritten = Call::get(&link, "/unwritten").await;
        assert_eq!(written.broken().await, Broken::Lost);
        assert!(matches!(unwritten.broken().await, Broken::NotSent | Broken::Lost));
        assert!(!link.is_open() && matches!(link.ended(), Some(Ended::Closed | Ended::Broken(_))));
    });
}

#[test]
fn a_node_gets_no_more_calls_than_it_takes() {
    run(async {
        let (node, address) = listener().await;
        let serving = async {
            let mut peer = Raw::of(node.accept().await.expect("a gateway comes").0);
            peer.say(&[HELLO]).await;
            peer
        };
        let (_peer, link) = tokio::join!(serving, link_to(address));
        let link = link.expect("it greets");
        let (_one, two) = (Call::get(&link, "/").await, Call::get(&link, "/").await);
        let placed = || super::kit::nobody_else();
        let Frame::Call { about, .. } = hatchway_proto::link::cases::sound_call(1) else { return };
        assert!(link.offer(about, (100, None), placed()).is_none());
        drop(two);
        assert!(link.offer(about, (100, None), placed()).is_some());
        assert!(link.offer(about, (100_000, None), placed()).is_none(), "larger than a frame");
    });
}

#[test]
fn a_node_that_falls_silent_is_asked_and_then_given_up() {
    run(async {
        let (node, address) = listener().await;
        let serving = async {
            let mut peer = Raw::of(node.accept().await.expect("a gateway comes").0);
            peer.say(&[HELLO]).await;
            peer
        };
        let (mut peer, link) = tokio::join!(serving, link_to(address));
        let link = link.expect("it greets");
        let mut call = Call::get(&link, "/").await;
        assert!(peer.hear(|frame| matches!(frame, Frame::Call { .. })).await);
        tokio::time::pause();
        assert_eq!(call.broken().await, Broken::Lost);
        assert!(matches!(link.ended(), Some(Ended::Ours(LinkError::Silence))));
        tokio::time::resume();
        assert!(peer.hear(|frame| matches!(frame, Frame::Ping(_))).await);
        let silence = LinkError::Silence.code();
        assert!(
            peer.hear(|frame| matches!(frame, Frame::Error { code, .. } if *code == silence)).await
        );
    });
}

#[test]
fn what_a_node_says_unasked_is_no_sign_that_it_hears() {
    run(async {
        let (node, address) = listener().await;
        let serving = async {
            let mut peer = Raw::of(node.accept().await.expect("a gateway comes").0);
            peer.say(&[HELLO]).await;
            peer
        };
        let (mut peer, link) = tokio::join!(serving, link_to(address));
        let link = link.expect("it greets");
        let is_silent = || link.is_silent(Instant::now(), Duration::ZERO);
        assert!(!is_silent(), "nothing was asked");
        assert!(peer.hear(|frame| matches!(frame, Frame::Ping(_))).await);
        let load = LoadSummary { in_flight: 1, ..LoadSummary::default() };
        // What it is asked itself shows that the gateway has read all of it.
        peer.say(&[Frame::Load(load), Frame::Ping(7)]).await;
        assert!(peer.hear(|frame| *frame == Frame::Pong(7)).await);
        assert!(is_silent());
        peer.say(&[Frame::Pong(0), Frame::Ping(8)]).await;
        assert!(peer.hear(|frame| *frame == Frame::Pong(8)).await);
        assert!(!is_silent());
    });
}

#[test]
fn whoever_does_not_greet_is_no_node() {
    run(async {
        let (node, address) = listener().await;
        let serving = async {
            let mut peer = Raw::of(node.accept().await.expect("a gateway comes").0);
            peer.say_raw(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            peer
        };
        let (_peer, link) = tokio::join!(serving, link_to(address));
        assert!(matches!(link, Err(Ended::Ours(LinkError::FrameSize))), "{link:?}");
    });
}
