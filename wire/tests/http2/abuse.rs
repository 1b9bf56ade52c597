//! What a hostile client does, and what it costs.

use crate::kit::run;
use crate::net::{Net, get};
use crate::raw::{self, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM, Raw, SETTINGS};
use crate::scripted::Event;

const ENHANCE_YOUR_CALM: [u8; 4] = 11_u32.to_be_bytes();

fn request(path: &str) -> Vec<u8> {
    raw::block(&[(":method", "GET"), (":scheme", "http"), (":authority", "here"), (":path", path)])
}

/// Streams that are opened and reset, each in a packet of its own.
async fn resets(raw: &mut Raw, net: &Net, count: u32) {
    for at in 0..count {
        let stream = 2 * at + 1;
        raw.send(&raw::frame(HEADERS, END_HEADERS | END_STREAM, stream, &request("/held"))).await;
        net.settled().await;
        raw.send(&raw::frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())).await;
        net.settled().await;
    }
}

fn count(told: &[Event]) -> (usize, usize) {
    let begun = told.iter().filter(|event| matches!(event, Event::Connecting)).count();
    let ended = told.iter().filter(|event| matches!(event, Event::Ended(_))).count();
    (begun, ended)
}

#[test]
fn a_client_that_only_cancels_is_told_to_calm_down() {
    run(async {
        let mut net = Net::new().await;
        let mut raw = Raw::new(net.connect().await).await;
        resets(&mut raw, &net, 300).await;
        let goaway = raw.any_of(&[GOAWAY]).await.expect("the connection is ended");
        assert_eq!(goaway.payload[4..8], ENHANCE_YOUR_CALM);
        net.connections.none().await;
        let (begun, ended) = count(&net.told());
        assert!(begun <= 201 && ended == begun, "{begun} begun, {ended} ended");
        assert_eq!(net.client().await.whole(get("/own")).await.status, 200);
    });
}

#[test]
fn streams_that_are_reset_in_the_packet_that_opens_them_reach_nobody() {
    run(async {
        let mut net = Net::new().await;
        let mut raw = Raw::new(net.connect().await).await;
        let mut burst = Vec::new();
        for at in 0..1000 {
            let stream = 2 * at + 1;
            burst.extend(raw::frame(HEADERS, END_HEADERS | END_STREAM, stream, &request("/held")));
            burst.extend(raw::frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        }
        raw.send(&burst).await;
        let goaway = raw.any_of(&[GOAWAY]).await.expect("the connection is ended");
        assert_eq!(goaway.payload[4..8], ENHANCE_YOUR_CALM);
        net.connections.none().await;
        assert_eq!(count(&net.told()).0, 0);
    });
}

#[test]
fn more_streams_than_are_offered_are_refused_and_no_more_run() {
    run(async {
        let mut net = Net::new().await;
        let mut raw = Raw::new(net.connect().await).await;
        for at in 0..300 {
            let head = request("/held");
            raw.send(&raw::frame(HEADERS, END_HEADERS | END_STREAM, 2 * at + 1, &head)).await;
        }
        let refused = raw.any_of(&[RST_STREAM]).await.expect("streams are refused");
        assert_eq!(refused.payload, 7_u32.to_be_bytes());
        net.settled().await;
        let (begun, _) = count(&net.told());
        assert!(begun <= 100, "{begun} begun");
    });
}

#[test]
fn a_head_that_is_too_large_reaches_nobody() {
    run(async {
        let net = Net::new().await;
        let mut client = net.client().await;
        let mut request = get("/");
        for at in 0..2000 {
            let name = format!("x-field-{at}").parse::<http::HeaderName>().expect("a name");
            request
                .headers_mut()
                .insert(name, "some value that fills it".parse().expect("a value"));
        }
        let (answer, _stream) = client.ask(request, true).await;
        match answer.await {
            Ok(answer) => assert_eq!(answer.status(), 431),
            Err(error) => assert!(error.is_remote(), "{error}"),
        }
        net.settled().await;
        net.nobody_connects();
    });
}

#[test]
fn more_fields_than_a_head_may_have_are_refused_by_their_count() {
    run(async {
        let net = Net::new().await;
        let mut client = net.client().await;
        let mut request = get("/");
        for at in 0..150 {
            let name = format!("x-{at}").parse::<http::HeaderName>().expect("a name");
            request.headers_mut().insert(name, "1".parse().expect("a value"));
        }
        assert_eq!(client.whole(request).await.status, 431);
        net.nobody_connects();
    });
}

/// Sends `flood` over and over on a connection with one request under way, until it is ended with the reason.
fn is_calmed(flood: &'static [u8]) {
    run(async move {
        let mut net = Net::new().await;
        let mut raw = Raw::new(net.connect().await).await;
        raw.send(&raw::frame(HEADERS, END_HEADERS, 1, &request("/held"))).await;
        net.settled().await;
        for _ in 0..20 {
            raw.send(&flood.repeat(100)).await;
            net.settled().await;
        }
        let goaway = raw.any_of(&[GOAWAY]).await.expect("the connection is ended");
        assert_eq!(goaway.payload[4..8], ENHANCE_YOUR_CALM);
        net.connections.none().await;
        let (begun, ended) = count(&net.told());
        assert_eq!((begun, ended), (1, 1), "what ran ends with its connection");
        assert_eq!(net.client().await.whole(get("/own")).await.status, 200);
    });
}

#[test]
fn a_flood_of_pings_ends_its_connection() {
    is_calmed(b"\0\0\x08\x06\0\0\0\0\0pingping");
}

#[test]
fn a_flood_of_settings_ends_its_connection() {
    is_calmed(b"\0\0\0\x04\0\0\0\0\0");
}

#[test]
fn a_flood_of_priorities_ends_its_connection() {
    is_calmed(b"\0\0\x05\x02\0\0\0\0\x01\0\0\0\0\x10");
}

#[test]
fn a_flood_of_empty_data_ends_its_connection() {
    is_calmed(b"\0\0\0\0\0\0\0\0\x01");
}

#[test]
fn a_flood_of_window_updates_ends_its_connection() {
    is_calmed(b"\0\0\x04\x08\0\0\0\0\x01\0\0\0\x01");
}

#[test]
fn a_flood_of_unknown_frames_ends_its_connection() {
    is_calmed(b"\0\0\x01\xbb\0\0\0\0\0x");
}

#[test]
fn a_head_that_never_ends_ends_its_connection() {
    run(async {
        let mut net = Net::new().await;
        let mut raw = Raw::new(net.connect().await).await;
        raw.send(&raw::frame(HEADERS, END_STREAM, 1, &request("/held"))).await;
        for _ in 0..1000 {
            raw.send(&raw::frame(9, 0, 1, &[0, 1, b'a', 1, b'b'].repeat(200))).await;
        }
        raw.any_of(&[GOAWAY]).await.expect("the connection is ended");
        net.connections.none().await;
        assert_eq!(count(&net.told()).0, 0);
        assert_eq!(net.client().await.whole(get("/own")).await.status, 200);
    });
}

#[test]
fn a_client_of_ordinary_manners_is_left_alone() {
    run(async {
        let net = Net::new().await;
        let mut raw = Raw::new(net.connect().await).await;
        for _ in 0..100 {
            raw.send(&raw::frame(6, 0, 0, b"pingping")).await;
            raw.send(&raw::frame(SETTINGS, 0, 0, &[])).await;
        }
        raw.send(&raw::frame(HEADERS, END_HEADERS | END_STREAM, 1, &request("/own"))).await;
        let answer = raw.any_of(&[GOAWAY, HEADERS]).await.expect("the connection stays");
        assert_eq!(answer.kind, HEADERS);
        assert!(raw.any_of(&[GOAWAY, DATA]).await.is_some_and(|frame| frame.kind == DATA));
    });
}
