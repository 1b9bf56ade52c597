//! Heads both ways.

use http::header;

use crate::kit::run;
use crate::net::{Net, get, request};
use crate::raw::{self, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM, Raw, SETTINGS};

#[test]
fn a_request_arrives_as_http1_and_its_answer_as_a_stream() {
    run(async {
        let mut net = Net::new().await;
        let mut client = net.client().await;
        let asked = client.whole(get("/a/b?c=d"));
        let answered = async {
            let mut upstream = net.upstream().await;
            let head = upstream.head().await;
            let answer =
                "HTTP/1.1 200 OK\r\nX-One: 1\r\nKeep-Alive: 5\r\nContent-Length: 2\r\n\r\nhi";
            upstream.send(answer).await;
            (head, upstream)
        };
        let (answer, (head, mut upstream)) = tokio::join!(asked, answered);
        assert_eq!(head, "GET /a/b?c=d HTTP/1.1\r\nHost: here\r\n\r\n");
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"hi"[..]));
        assert_eq!(answer.fields["x-one"], "1");
        assert_eq!(answer.fields["content-length"], "2");
        assert!(!answer.fields.contains_key("keep-alive"));
        let end = net.end().await;
        assert_eq!((end.status, end.is_ours, end.broken), (200, false, None));

        let again = async {
            upstream.head().await;
            upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
        };
        let (answer, ()) = tokio::join!(client.whole(get("/again")), again);
        assert_eq!((answer.status, answer.body.len()), (204, 0));
        net.nobody_connects();
    });
}

#[test]
fn an_answer_to_head_has_a_length_and_no_body() {
    run(async {
        let net = Net::new().await;
        let mut client = net.client().await;
        let answered = async {
            let mut upstream = net.upstream().await;
            upstream.head().await;
            upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n").await;
        };
        let (answer, ()) = tokio::join!(client.whole(request("HEAD", "/")), answered);
        assert_eq!((answer.status, answer.body.len()), (200, 0));
        assert_eq!(answer.fields["content-length"], "100");
    });
}

#[test]
fn crumbs_are_one_cookie_and_the_authority_is_the_host() {
    run(async {
        let net = Net::new().await;
        let mut client = net.client().await;
        let mut request = get("/");
        for crumb in ["a=1", "b=2", "c=3"] {
            request.headers_mut().append(header::COOKIE, crumb.parse().expect("a crumb"));
        }
        request.headers_mut().insert(header::HOST, "HERE".parse().expect("a host"));
        request.headers_mut().insert(header::TE, "trailers".parse().expect("a coding"));
        let (_answer, _stream) = client.ask(request, true).await;
        let head = net.upstream().await.head().await;
        assert_eq!(head, "GET / HTTP/1.1\r\nHost: here\r\ncookie: a=1; b=2; c=3\r\n\r\n");
    });
}

#[test]
fn interim_answers_are_passed_and_a_body_is_asked_for() {
    run(async {
        let net = Net::new().await;
        let mut client = net.client().await;
        let mut request = request("POST", "/");
        request.headers_mut().insert(header::EXPECT, "100-continue".parse().expect("a word"));
        let (mut answer, mut stream) = client.ask(request, false).await;
        let mut upstream = net.upstream().await;
        upstream.head().await;
        upstream.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").await;
        let interim = |answer: &mut h2::client::ResponseFuture, cx: &mut std::task::Context<'_>| {
            answer.poll_informational(cx)
        };
        for expected in [100, 103] {
            let head = std::future::poll_fn(|cx| interim(&mut answer, cx)).await;
            let head = head.expect("it is not over").expect("it is well-formed");
            assert_eq!(head.status().as_u16(), expected);
        }
        crate::net::send(&mut stream, "body".into(), true).await;
        upstream.expect("4\r\nbody\r\n0\r\n\r\n").await;
        upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(answer.await.expect("an answer").status(), 200);
    });
}

const PSEUDO: [(&str, &str); 4] =
    [(":method", "POST"), (":scheme", "http"), (":authority", "here"), (":path", "/")];

/// What no reader may take for a request, and what a second reader might take for two.
#[test]
fn nothing_ambiguous_reaches_the_upstream() {
    let cases: [(&str, &[(&str, &str)]); 19] = [
        ("connection", &[("connection", "close")]),
        ("upgrade", &[("upgrade", "websocket")]),
        ("keep-alive", &[("keep-alive", "5")]),
        ("proxy-connection", &[("proxy-connection", "keep-alive")]),
        ("transfer-encoding", &[("transfer-encoding", "chunked")]),
        ("te", &[("te", "gzip")]),
        ("upper case", &[("Accept", "a")]),
        ("line in a value", &[("a", "b\r\nhost: there")]),
        ("line in a name", &[("a: b\r\nc", "d")]),
        ("nul", &[("a", "b\0")]),
        ("bare lf", &[("a", "b\nc: d")]),
        ("pseudo-field behind a field", &[("a", "b"), (":path", "/x")]),
        ("unknown pseudo-field", &[(":what", "b")]),
        ("two lengths", &[("content-length", "1"), ("content-length", "2")]),
        ("odd length", &[("content-length", "+1")]),
        ("other host", &[("host", "there")]),
        ("two hosts", &[("host", "here"), ("host", "there")]),
        ("blank in a name", &[("a ", "b")]),
        ("expectation", &[("expect", "the best")]),
    ];
    for (name, fields) in cases {
        run(async {
            let net = Net::new().await;
            let all = [&PSEUDO[..], fields].concat();
            refused(&net, name, &all).await;
        });
    }
}

#[test]
fn malformed_pseudo_fields_do_not_reach_the_upstream() {
    let cases: [(&str, &[(&str, &str)]); 8] = [
        ("no path", &[PSEUDO[0], PSEUDO[1], PSEUDO[2]]),
        ("no method", &[PSEUDO[1], PSEUDO[2], PSEUDO[3]]),
        ("two paths", &[PSEUDO[0], PSEUDO[1], PSEUDO[2], PSEUDO[3], (":path", "/b")]),
        ("blank in the path", &[PSEUDO[0], PSEUDO[1], PSEUDO[2], (":path", "/ HTTP/1.1\r\na: b")]),
        ("blank in the method", &[(":method", "GET /"), PSEUDO[1], PSEUDO[2], PSEUDO[3]]),
        ("user in the authority", &[PSEUDO[0], PSEUDO[1], (":authority", "a@here"), PSEUDO[3]]),
        ("connect", &[(":method", "CONNECT"), (":authority", "here:1")]),
        ("no host", &[PSEUDO[0], PSEUDO[1], PSEUDO[3]]),
    ];
    for (name, fields) in cases {
        run(async {
            let net = Net::new().await;
            refused(&net, name, fields).await;
        });
    }
}

/// The stream or the connection ends, or the answer is a status of class 4xx or 501, and nobody else hears of it.
async fn refused(net: &Net, name: &str, fields: &[(&str, &str)]) {
    let mut raw = Raw::new(net.connect().await).await;
    raw.send(&raw::frame(HEADERS, END_HEADERS, 1, &raw::block(fields))).await;
    raw.send(&raw::frame(DATA, END_STREAM, 1, b"")).await;
    let answer = raw.any_of(&[HEADERS, RST_STREAM, GOAWAY]).await;
    let answer = answer.unwrap_or_else(|| panic!("{name}: no answer"));
    if answer.kind == HEADERS {
        // 400 has an index of its own (RFC 7541 appendix A); others are literals behind the index of `:status`.
        let block = answer.payload;
        let is_400 = block[0] == 0x80 | 12;
        let text = String::from_utf8_lossy(&block).into_owned();
        assert!(is_400 || block[0] == 0x48 || block[0] == 0x08, "{name}: {text:?}");
    }
    net.settled().await;
    net.nobody_connects();
}

#[test]
fn first_bytes_that_come_one_by_one_are_those_of_http2_all_the_same() {
    run(async {
        let net = Net::new().await;
        let mut raw = Raw::bare(net.connect().await);
        for byte in raw::PREFACE {
            raw.send(&[*byte]).await;
            net.settled().await;
        }
        raw.send(&raw::frame(SETTINGS, 0, 0, &[])).await;
        let target = [(":method", "GET"), (":path", "/own")];
        let block = raw::block(&[target, [PSEUDO[1], PSEUDO[2]]].concat());
        raw.send(&raw::frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)).await;
        let body = raw.any_of(&[DATA]).await.expect("an answer");
        assert_eq!(body.payload, b"ours");
    });
}
