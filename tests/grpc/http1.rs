//! A function that speaks HTTP/2, and clients that speak HTTP/1.1.

use hatchway_tests::{Project, Up};

const SERVER: &str = r#"
const http2 = require('node:http2')
const server = http2.createServer()
server.on('stream', (stream, head) => {
  const path = head[':path']
  // A stream that is closed by either side is no reason to end.
  stream.on('error', () => {})
  if (path.endsWith('/echo')) {
    stream.respond({ ':status': 200 })
    return stream.pipe(stream)
  }
  if (path.endsWith('/length')) {
    stream.respond({ ':status': 200, 'content-length': '5' })
    return stream.end('hello')
  }
  if (path.endsWith('/nothing')) {
    stream.respond({ ':status': 204 }, { endStream: true })
    return
  }
  if (path.endsWith('/trailers')) {
    stream.respond({ ':status': 200 }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '7' }))
    return stream.end('body')
  }
  if (path.endsWith('/reset')) return stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR)
  stream.respond({ ':status': 201, 'x-method': head[':method'] })
  stream.end(head[':method'] === 'HEAD' ? undefined : JSON.stringify(head))
})
server.listen(process.env.HATCHWAY_SOCKET)
"#;

fn up() -> (Project, Up) {
    let manifest = "[function.h2c]\nruntime = \"node\"\nmain = \"server.cjs\"\nprotocol = \"h2c\"\n\
                    http = { path = \"/h2c\" }\n";
    let project = Project::new(manifest).file("server.cjs", SERVER);
    let up = Up::start(&project);
    (project, up)
}

#[test]
fn a_request_of_http_1_reaches_a_function_that_speaks_2() {
    let (_project, up) = up();
    let answer = up.get("/h2c/head?a=b");
    assert_eq!((answer.status, answer.header("x-method")), (201, "GET"));
    let head: serde_json::Value = answer.json();
    assert_eq!(head[":path"], "/h2c/head?a=b");
    assert_eq!(head[":authority"], up.address.to_string());
    assert_eq!(head[":scheme"], "http");
    assert_eq!(head["te"], "trailers");
    assert!(head["connection"].is_null() && head["host"].is_null(), "{head}");
    assert_eq!(up.get("/h2c/length").header("content-length"), "5");
    assert_eq!(up.get("/h2c/nothing").status, 204);
    let answer = up.request("HEAD", "/h2c/head", &[], b"").expect("an answer");
    assert_eq!((answer.status, answer.header("x-method"), answer.body.len()), (201, "HEAD", 0));
    up.stop();
}

#[test]
fn bodies_of_both_framings_come_back_whole() {
    let (_project, up) = up();
    let body: Vec<u8> = (0..=250).cycle().take(5 << 20).collect();
    let answer = up.request("POST", "/h2c/echo", &[], &body).expect("an answer");
    assert!(answer.body == body, "{} bytes", answer.body.len());
    let mut answer = up.upload("/h2c/echo", &*body).expect("an answer");
    let read = answer.body_mut().with_config().limit(10 << 20).read_to_vec().expect("a body");
    assert!(read == body, "{} bytes", read.len());
    up.stop();
}

#[test]
fn trailers_come_behind_the_last_chunk_and_a_reset_is_a_failure() {
    let (_project, up) = up();
    let mut raw = up.raw();
    assert_eq!(raw.get("/h2c/trailers").head().field("transfer-encoding"), "chunked");
    assert_eq!(raw.chunk().expect("a chunk"), b"body");
    assert_eq!(raw.line().expect("the last chunk"), "0");
    assert_eq!(raw.line().expect("a trailer"), "x-sum: 7");
    assert_eq!(raw.line().expect("the end"), "");
    let problem = up.get("/h2c/reset").problem();
    assert_eq!((problem.status, &*problem.reason), (502, "reset"));
    assert_eq!(up.get("/h2c/length").text(), "hello", "its connection goes on");
    assert_eq!(up.admin.hatches("h2c"), 1.0);
    up.stop();
}
