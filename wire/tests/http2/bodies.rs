//! Bodies and trailers both ways.

use bytes::Bytes;
use http::{HeaderMap, header};

use crate::kit::run;
use crate::net::{Net, get, read, request, send};

#[test]
fn a_body_of_unknown_length_travels_in_chunks_with_its_trailers() {
    run(async {
        let net = Net::new().await;
        let mut client = net.client().await;
        let (_answer, mut stream) = client.ask(request("POST", "/"), false).await;
        let mut upstream = net.upstream().await;
        assert!(upstream.head().await.contains("\r\nTransfer-Encoding: chunked\r\n"));
        send(&mut stream, "one".into(), false).await;
        upstream.expect("3\r\none\r\n").await;
        send(&mut stream, "and two".into(), false).await;
        upstream.expect("7\r\nand two\r\n").await;
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "7".parse().expect("a value"));
        stream.send_trailers(trailers).expect("the stream is open");
        upstream.expect("0\r\nx-sum: 7\r\n\r\n").await;
    });
}

#[test]
fn a_trailer_that_would_frame_or_route_is_refused() {
    run(async {
        let mut net = Net::new().await;
        let mut client = net.client().await;
        let (answer, mut stream) = client.ask(request("POST", "/"), false).await;
        let mut upstream = net.upstream().await;
        upstream.head().await;
        let mut trailers = HeaderMap::new();
        trailers.insert(header::HOST, "there".parse().expect("a value"));
        stream.send_trailers(trailers).expect("the stream is open");
        assert_eq!(answer.await.expect("an answer").status(), 502);
        assert_eq!(net.end().await.broken.as_deref(), Some("the request body is malformed"));
        upstream.is_cut().await;
    });
}

#[test]
fn a_body_of_declared_length_travels_as_it_is() {
    run(async {
        let net = Net::new().await;
        let mut client = net.client().await;
        let mut request = request("POST", "/");
        request.headers_mut().insert(header::CONTENT_LENGTH, "5".parse().expect("a length"));
        let (answer, mut stream) = client.ask(request, false).await;
        send(&mut stream, "hello".into(), true).await;
        let mut upstream = net.upstream().await;
        let message = upstream.message().await;
        assert_eq!((message.field("content-length"), message.text()), (Some("5"), "hello"));
        upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        assert_eq!(read(answer.await.expect("an answer")).await.body, b"ok");
    });
}

#[test]
fn chunks_of_an_answer_become_data_and_its_trailers_end_the_stream() {
    run(async {
        let mut net = Net::new().await;
        let mut client = net.client().await;
        let answered = async {
            let mut upstream = net.upstream().await;
            upstream.head().await;
            let head =
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: grpc-status\r\n\r\n";
            upstream.send(head).await;
            for piece in ["3\r\none\r", "\n7;a=b\r\nand", " two\r\n0\r\ngrpc-", "status: 0\r\n\r\n"]
            {
                upstream.send(piece).await;
                net.settled().await;
            }
            upstream
        };
        let (answer, _upstream) = tokio::join!(client.whole(get("/")), answered);
        assert_eq!(answer.body, b"oneand two");
        assert!(!answer.fields.contains_key("transfer-encoding"));
        assert_eq!(answer.trailers.expect("there are trailers")["grpc-status"], "0");
        assert_eq!(net.end().await.broken, None);
    });
}

#[test]
fn an_answer_that_ends_with_its_connection_ends_the_stream() {
    run(async {
        let net = Net::new().await;
        let mut client = net.client().await;
        let answered = async {
            let mut upstream = net.upstream().await;
            upstream.head().await;
            upstream.send("HTTP/1.1 200 OK\r\n\r\nall that there is").await;
        };
        let (answer, ()) = tokio::join!(client.whole(get("/")), answered);
        assert_eq!(answer.body, b"all that there is");
    });
}

#[test]
fn megabytes_go_both_ways_at_once_and_arrive_exactly() {
    const BYTES: usize = 24 << 20;
    run(async {
        let net = Net::new().await;
        let mut client = net.client().await;
        let mut request = request("POST", "/");
        request.headers_mut().insert(header::CONTENT_LENGTH, BYTES.into());
        let (answer, mut stream) = client.ask(request, false).await;
        let data: Vec<u8> = (0..=250).cycle().take(BYTES).collect();
        let data = Bytes::from(data);
        let echo = async {
            let mut upstream = net.upstream().await;
            upstream.head().await;
            upstream.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n")).await;
            let mut left = BYTES;
            while left > 0 {
                let some = upstream.some(left).await;
                left -= some.len();
                upstream.send(some).await;
            }
        };
        let sent = send(&mut stream, data.clone(), true);
        let received = async { read(answer.await.expect("an answer")).await };
        let ((), (), answer) = tokio::join!(echo, sent, received);
        assert!(answer.body == data, "{} bytes", answer.body.len());
    });
}

#[test]
fn our_own_answers_come_from_memory_and_from_a_file() {
    run(async {
        let mut file = tempfile::tempfile().expect("a folder for temporary files");
        let content: Vec<u8> = (0..=240).cycle().take(300_000).collect();
        std::io::Write::write_all(&mut file, &content).expect("the disk has room");
        let mut net = Net::with(Default::default(), Default::default(), Some(file)).await;
        let mut client = net.client().await;
        let own = client.whole(get("/own")).await;
        assert_eq!((own.status, own.body.as_slice()), (200, &b"ours"[..]));
        assert_eq!(
            (&own.fields["x-own"], &own.fields["content-length"]),
            (&"1".parse().expect("a value"), &"4".parse().expect("a value"))
        );
        assert!(net.end().await.is_ours);
        assert!(client.whole(get("/file")).await.body == content);
        assert_eq!(client.whole(request("HEAD", "/file")).await.body, b"");
        let none = client.whole(get("/none")).await;
        assert_eq!((none.status, none.body.len()), (304, 0));
        assert_eq!(client.whole(get("/last")).await.status, 403);
        // The stream of a request that was refused by its head was the last of nothing but itself.
        assert_eq!(client.whole(get("/own")).await.status, 200);
    });
}
