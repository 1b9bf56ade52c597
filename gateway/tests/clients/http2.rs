//! HTTP/2 by prior knowledge: curl, nghttp and h2load.

use std::process::{Command, Output};

use crate::world::{World, output};

impl World {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn curl(&self, arguments: &[&str], path: &str, input: &[u8]) -> Output {
        let mut command = Command::new("curl");
        command.args(["--http2-prior-knowledge", "-sS", "--max-time", "60"]).args(arguments);
        output(command.arg(self.url(path)), input)
    }
}

#[test]
fn curl_gets_answers_and_refusals() {
    let world = World::start();
    let got = world.curl(&["-w", " %{http_version} %{http_code}"], "/site/a", b"");
    assert_eq!(String::from_utf8_lossy(&got.stdout), "hello 2 200", "{got:?}");
    let got = world.curl(&["-I"], "/site/a", b"");
    let text = String::from_utf8_lossy(&got.stdout).into_owned();
    assert!(text.starts_with("HTTP/2 200") && text.contains("content-length: 5\r\n"), "{text}");
    let got = world.curl(&["-w", "%{http_code}"], "/site/none", b"");
    assert_eq!(String::from_utf8_lossy(&got.stdout), "204");
    let got = world.curl(&["-i"], "/elsewhere", b"");
    let text = String::from_utf8_lossy(&got.stdout).into_owned();
    assert!(text.starts_with("HTTP/2 404"), "{text}");
    assert!(text.contains("content-type: application/problem+json"), "{text}");
    assert!(text.contains("no-route"), "{text}");
}

#[test]
fn curl_sends_megabytes_in_both_framings_and_gets_them_back() {
    let world = World::start();
    let body: Vec<u8> = (0..=250).cycle().take(20 << 20).collect();
    for framing in [["-X", "POST", "--data-binary", "@-"], ["-X", "POST", "-T", "-"]] {
        let got = world.curl(&framing, "/site/echo", &body);
        assert!(got.status.success(), "{}", String::from_utf8_lossy(&got.stderr));
        assert!(got.stdout == body, "{framing:?}: {} bytes", got.stdout.len());
    }
}

#[test]
fn nghttp_reads_trailers_and_sends_them() {
    let world = World::start();
    let url = world.url("/site/trailers");
    // A body of declared length has no place for trailers in HTTP/1.1.
    let arguments =
        ["-v", "--no-content-length", "--trailer", "x-sum: 1", "-d", "Cargo.toml", &url];
    let got = output(Command::new("nghttp").args(arguments), b"");
    let text = String::from_utf8_lossy(&got.stdout).into_owned();
    assert!(got.status.success() && text.contains("grpc-status: 7"), "{text}");
    assert!(text.contains("x-seen: x-sum: 1"), "{text}");
}

#[test]
fn h2load_gets_every_answer_over_many_streams() {
    let world = World::start();
    let url = world.url("/site/a");
    let arguments = ["-n", "5000", "-c", "4", "-m", "100", &url];
    let got = output(Command::new("h2load").args(arguments), b"");
    let text = String::from_utf8_lossy(&got.stdout).into_owned();
    assert!(text.contains("5000 succeeded, 0 failed, 0 errored, 0 timeout"), "{text}");
}
