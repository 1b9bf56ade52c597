//! Heads: parsed, cut at every byte, written again.

use super::super::*;

fn request(bytes: &[u8]) -> RequestHead<'_> {
    parse_request(bytes, &Limits::default()).expect("a good head").expect("a whole head")
}

fn response(bytes: &[u8]) -> ResponseHead<'_> {
    parse_response(bytes, false, &Limits::default()).expect("a good head").expect("a whole head")
}

fn rewritten(bytes: &[u8], edit: &RequestEdit<'_>) -> String {
    let mut out = Vec::new();
    write_request(&mut out, &request(bytes), edit);
    String::from_utf8(out).expect("ascii in, ascii out")
}

#[test]
fn a_request_is_taken_apart() {
    let bytes = b"\r\nPOST /a/b?c=d HTTP/1.1\r\nHost: example.com:80\r\nX-One:  1 \r\nContent-Length: 5\r\nExpect: 100-Continue\r\nTE: gzip, trailers\r\n\r\nhelloGET /";
    let head = request(bytes);
    assert_eq!(
        (head.method, head.path, head.query, head.host),
        ("POST", "/a/b", Some("c=d"), "example.com:80")
    );
    assert_eq!((head.version, head.framing), (Version::Http11, Framing::Length(5)));
    assert!(head.keep_alive && head.expects_continue && head.accepts_trailers);
    assert_eq!(head.upgrade, None);
    assert_eq!(&bytes[head.len..], b"helloGET /");
    assert_eq!(head.field("x-one"), Some(&b"1"[..]));
    assert_eq!(head.field("x-two"), None);
    let names: Vec<_> = head.fields().map(|f| f.name).collect();
    assert_eq!(names, ["Host", "X-One", "Content-Length", "Expect", "TE"]);
}

#[test]
fn a_response_is_taken_apart() {
    let bytes = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x00";
    let head = response(bytes);
    assert_eq!(
        (head.status, head.reason, head.framing),
        (101, "Switching Protocols", Framing::None)
    );
    assert_eq!((head.upgrade, head.is_interim()), (Some("websocket"), false));
    assert_eq!(&bytes[head.len..], b"\x81\x00");
}

#[test]
fn hop_by_hop_internal_and_nominated_fields_stay_behind() {
    let bytes = b"GET /a?b HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nX-B: 2\r\nConnection: keep-alive, X-Gone\r\nX-gone: 3\r\nHatchway_Node: 4\r\nKeep-Alive: 5\r\nX-C:6 \r\nTE: trailers\r\nX-Drop: 7\r\nX-D: 8\r\n\r\n";
    let edit = RequestEdit { extra: &[("X-E", "9")], drop: &["x-drop"], ..RequestEdit::default() };
    assert_eq!(
        rewritten(bytes, &edit),
        "GET /a?b HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nX-B: 2\r\nX-C: 6\r\nX-D: 8\r\nX-E: 9\r\n\r\n"
    );
}

#[test]
fn dropped_fields_stay_behind_in_every_spelling() {
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nX-FORWARDED-FOR: 1\r\nx_forwarded_for: 2\r\nX-Forwarded_For: 3\r\nX-Forwarded-Foo: 4\r\n\r\n";
    let edit = RequestEdit { drop: &["x-forwarded-for"], ..RequestEdit::default() };
    assert_eq!(rewritten(bytes, &edit), "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Foo: 4\r\n\r\n");
}

#[test]
fn internal_fields_pass_between_our_own_programs() {
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nHatchway-Node: n\r\nX: 1\r\n\r\n";
    let edit = RequestEdit { keep_internal: true, ..RequestEdit::default() };
    assert_eq!(
        rewritten(bytes, &edit),
        "GET / HTTP/1.1\r\nHost: a\r\nHatchway-Node: n\r\nX: 1\r\n\r\n"
    );
    let bytes = b"HTTP/1.1 200 OK\r\nHatchway-Load: 1\r\nContent-Length: 0\r\n\r\n";
    let edit = ResponseEdit {
        extra: &[],
        drop: &[],
        downstream: Version::Http11,
        keep_alive: true,
        framing: Framing::Length(0),
        upgrade: None,
        keep_internal: true,
    };
    let mut out = Vec::new();
    write_response(&mut out, &response(bytes), &edit);
    assert_eq!(out, bytes);
}

#[test]
fn an_absolute_target_becomes_path_and_host() {
    let bytes = b"POST http://b:1?x HTTP/1.0\r\nHost: a\r\nContent-Length: 3\r\n\r\n";
    assert_eq!(
        rewritten(bytes, &RequestEdit::default()),
        "POST /?x HTTP/1.1\r\nHost: b:1\r\nContent-Length: 3\r\n\r\n"
    );
}

#[test]
fn an_upgrade_is_asked_for_only_when_told() {
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(rewritten(bytes, &RequestEdit::default()), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let edit =
        RequestEdit { upgrade: Some("websocket"), trailers_ok: true, ..RequestEdit::default() };
    assert_eq!(
        rewritten(bytes, &edit),
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, te\r\nTE: trailers\r\nUpgrade: websocket\r\n\r\n"
    );
}

#[test]
fn a_response_is_framed_for_its_client() {
    let bytes = b"HTTP/1.0 200 OK\r\nServer: x\r\nConnection: close\r\nHatchway-Load: 1\r\n\r\n";
    let edit = ResponseEdit {
        extra: &[],
        drop: &[],
        downstream: Version::Http11,
        keep_alive: true,
        framing: Framing::Chunked,
        upgrade: None,
        keep_internal: false,
    };
    let mut out = Vec::new();
    write_response(&mut out, &response(bytes), &edit);
    assert_eq!(out, b"HTTP/1.1 200 OK\r\nServer: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    out.clear();
    let edit = ResponseEdit {
        downstream: Version::Http10,
        framing: Framing::UntilClose,
        keep_alive: false,
        ..edit
    };
    write_response(&mut out, &response(bytes), &edit);
    assert_eq!(out, b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n");
}

#[test]
fn the_connection_is_spoken_of_in_final_answers_only() {
    let final_answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let interim = b"HTTP/1.1 103 Early Hints\r\n\r\n";
    let words = |bytes, downstream, keep_alive| {
        let edit = ResponseEdit {
            extra: &[],
            drop: &[],
            downstream,
            keep_alive,
            framing: response(bytes).framing,
            upgrade: None,
            keep_internal: false,
        };
        let mut out = Vec::new();
        write_response(&mut out, &response(bytes), &edit);
        String::from_utf8(out).expect("ascii in, ascii out")
    };
    assert!(words(final_answer, Version::Http11, false).contains("\r\nConnection: close\r\n"));
    assert!(words(final_answer, Version::Http10, true).contains("\r\nConnection: keep-alive\r\n"));
    for silent in [
        words(final_answer, Version::Http11, true),
        words(final_answer, Version::Http10, false),
        words(interim, Version::Http11, false),
    ] {
        assert!(!silent.contains("Connection"), "{silent}");
    }
}
