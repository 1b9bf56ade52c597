//! Answers of our own.

use std::io::Write;

use hatchway_wire::http1::Settings;

use super::kit::{World, run};

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")
}

#[test]
fn an_answer_of_ours_says_how_long_it_is_and_leaves_the_connection_open() {
    run(async {
        let mut world = World::new().await;
        let mut client = world.client().await;
        for _ in 0..2 {
            client.send(get("/own")).await;
            let answer = client.message().await;
            assert_eq!(answer.head, "HTTP/1.1 200 OK\r\nx-own: 1\r\ncontent-length: 4\r\n\r\n");
            assert_eq!(answer.text(), "ours");
            let end = world.end().await;
            assert_eq!((end.status, end.is_ours, end.broken), (200, true, None));
            assert_eq!(end.response_bytes, (answer.head.len() + 4) as u64);
        }
    });
}

#[test]
fn to_head_it_is_the_head_alone() {
    run(async {
        let world = World::new().await;
        let mut client = world.client().await;
        client.send(get("/own").replace("GET", "HEAD")).await;
        assert!(client.head().await.contains("content-length: 4\r\n"));
        client.send(get("/own")).await;
        assert_eq!(client.message().await.text(), "ours");
    });
}

#[test]
fn a_status_without_a_body_has_none_whatever_was_given() {
    run(async {
        let world = World::new().await;
        let mut client = world.client().await;
        client.send(get("/none")).await;
        assert_eq!(client.head().await, "HTTP/1.1 304 Not Modified\r\n\r\n");
        client.send(get("/own")).await;
        assert_eq!(client.message().await.text(), "ours");
    });
}

#[test]
fn a_client_of_http_10_is_told_what_becomes_of_the_connection() {
    run(async {
        let world = World::new().await;
        let mut client = world.client().await;
        client.send("GET /own HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
        assert_eq!(client.message().await.field("connection"), Some("keep-alive"));
        client.send("GET /own HTTP/1.0\r\n\r\n").await;
        assert_eq!(client.message().await.field("connection"), Some("close"));
        client.ends().await;
    });
}

#[test]
fn a_file_is_sent_as_the_client_takes_it() {
    run(async {
        let mut file = tempfile::tempfile().expect("there is a place for temporary files");
        let content: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
        file.write_all(&content).expect("a file can be written");
        let world = World::with_file(Settings::default(), Some(file)).await;
        let mut client = world.client().await;
        client.send(get("/file")).await;
        assert!(client.message().await.body == content);
        client.send(get("/own")).await;
        assert_eq!(client.message().await.text(), "ours");
    });
}

#[test]
fn a_file_that_becomes_shorter_is_an_answer_that_is_cut() {
    run(async {
        let file = tempfile::tempfile().expect("there is a place for temporary files");
        file.set_len(64 * 1024 * 1024).expect("a file can be large");
        let shortened = file.try_clone().expect("descriptors are left");
        let mut world = World::with_file(Settings::default(), Some(file)).await;
        let mut client = world.client().await;
        client.send(get("/file")).await;
        client.head().await;
        shortened.set_len(1000).expect("a file can be shortened");
        let got = client.rest().await.expect("an end, before the length that was said");
        assert!(got.len() < 64 * 1024 * 1024);
        assert!(world.end().await.broken.is_some());
    });
}
