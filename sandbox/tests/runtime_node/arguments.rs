//! What a handler is called with.

use serde_json::json;

use crate::runtime_support::{Function, Package, node_handler};

/// Answers with what it was called with.
const ECHO: &str = "export function echo(ctx, ...args) {
  return args.map((arg) => (Buffer.isBuffer(arg) ? { bytes: arg.toString('hex') } : arg));
}";

pub(crate) fn echo() -> Function {
    Package::new(&[("src/echo.mjs", ECHO)]).start(&node_handler("src/echo.mjs", "echo"))
}

#[test]
fn arguments_come_from_the_query_when_there_is_no_body() {
    let function = echo();
    assert_eq!(function.get("/").json(), json!([]));
    assert_eq!(function.get("/?").json(), json!([]));
    let query = "/?name=Ada+L&tag=a&tag=b&empty=&__proto__=x";
    let expected = r#"[{"name":"Ada L","tag":["a","b"],"empty":"","__proto__":"x"}]"#;
    assert_eq!(function.get(query).text(), expected);
    assert_eq!(function.curl("/?a=1").method("DELETE").answer().json(), json!([{"a": "1"}]));
    let empty = function.curl("/?a=1").header("content-length", "0").method("POST").answer();
    assert_eq!(empty.json(), json!([{"a": "1"}]));
    let head = function.curl("/?a=1").head().answer();
    assert_eq!((head.status, head.header("content-length")), (200, Some("11")));
}

#[test]
fn arguments_come_from_the_body_by_its_type() {
    let function = echo();
    let call = |kind: &str, body: &str| function.curl("/?ignored=1").body(kind, body).answer();
    assert_eq!(
        call("application/json", "[1, \"two\", {\"three\": 3}]").json(),
        json!([1, "two", {"three": 3}])
    );
    assert_eq!(call("application/json; charset=utf-8", "{\"a\": [1]}").json(), json!([{"a": [1]}]));
    assert_eq!(call("application/json", "null").json(), json!([null]));
    assert_eq!(call("application/cloudevents+json", "{\"id\": 1}").json(), json!([{"id": 1}]));
    assert_eq!(call("text/markdown", "# Grüezi").json(), json!(["# Grüezi"]));
    assert_eq!(
        call("application/x-www-form-urlencoded", "a=1&b=2&b=3").json(),
        json!([{"a": "1", "b": ["2", "3"]}])
    );
    assert_eq!(call("image/png", "PNG").json(), json!([{"bytes": "504e47"}]));
    let latin1 = function.curl("/").header("content-type", "text/plain; charset=\"ISO-8859-1\"");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("latin1.txt");
    std::fs::write(&file, b"caf\xe9").unwrap();
    let latin1 = latin1.args(&["--data-binary", &format!("@{}", file.display())]).answer();
    assert_eq!(latin1.json(), json!(["café"]));
}

#[test]
fn a_body_that_cannot_be_an_argument_is_refused_with_its_reason() {
    let function = echo();
    let call = |kind: &str, body: &str| function.curl("/").body(kind, body);
    let bad = call("application/json", "{\"a\":").answer();
    assert_eq!((bad.status, bad.header("content-type")), (400, Some("application/problem+json")));
    assert!(bad.json()["detail"].as_str().unwrap().starts_with("the body is not JSON"));
    assert_eq!(
        call("application/json", "x").header("content-encoding", "gzip").answer().status,
        415
    );
    assert_eq!(call("text/plain; charset=klingon", "x").answer().status, 415);

    let folder = tempfile::tempdir().unwrap();
    let large = folder.path().join("large");
    std::fs::write(&large, vec![b'x'; 10 * 1024 * 1024 + 1]).unwrap();
    let declared = function.curl("/").file("text/plain", &large).answer();
    assert_eq!(declared.status, 413);
    let chunked = function
        .curl("/")
        .header("transfer-encoding", "chunked")
        .file("text/plain", &large)
        .answer();
    assert_eq!((chunked.status, chunked.json()["name"].as_str()), (413, Some("Refusal")));
    std::fs::write(&large, vec![b'x'; 10 * 1024 * 1024]).unwrap();
    let fits = function
        .curl("/")
        .header("transfer-encoding", "chunked")
        .file("text/plain", &large)
        .answer();
    assert_eq!((fits.status, fits.body.len()), (200, 10 * 1024 * 1024 + 4));
}
