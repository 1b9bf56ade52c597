//! What becomes of a result, and of a failure.

use serde_json::json;

use crate::runtime_support::{Package, REQUEST_ID, node_handler};

const RESULTS: &str = "export const results = {
  nothing: () => undefined,
  nil: () => null,
  text: () => 'Grüezi',
  bytes: () => Buffer.from([0, 255]),
  view: () => new Uint16Array([1, 2]),
  buffer: () => new Uint8Array([7]).buffer,
  later: async () => ({ at: new Date(0) }),
  list: () => [1, 2],
  impossible: () => () => {},
  cycle: () => { const a = {}; a.a = a; return a; },
};
export const result = (ctx, { of }) => results[of]();";

#[test]
fn a_result_becomes_an_answer_by_its_type() {
    let function = Package::new(&[("r.mjs", RESULTS)]).start(&node_handler("r.mjs", "result"));
    let expect = |of: &str, status: u16, kind: Option<&str>, body: &[u8]| {
        let answer = function.get(&format!("/?of={of}"));
        assert_eq!(
            (answer.status, answer.header("content-type"), &answer.body[..]),
            (status, kind, body),
            "{of}"
        );
    };
    expect("nothing", 204, None, b"");
    expect("nil", 200, Some("application/json"), b"null");
    expect("text", 200, Some("text/plain; charset=utf-8"), "Grüezi".as_bytes());
    expect("bytes", 200, Some("application/octet-stream"), b"\x00\xff");
    expect("view", 200, Some("application/octet-stream"), b"\x01\x00\x02\x00");
    expect("buffer", 200, Some("application/octet-stream"), b"\x07");
    expect("later", 200, Some("application/json"), b"{\"at\":\"1970-01-01T00:00:00.000Z\"}");
    expect("list", 200, Some("application/json"), b"[1,2]");
    assert_eq!(function.get("/?of=impossible").status, 500);
    assert_eq!(function.get("/?of=cycle").status, 500);
}

const ERRORS: &str =
    "const fail = (fields) => { throw Object.assign(new TypeError('secret'), fields); };
export const error = (ctx, { of }) => ({
  plain: () => fail({}),
  status: () => fail({ status: 409 }),
  statusCode: () => fail({ statusCode: 422 }),
  exposed: () => fail({ status: 503, expose: true }),
  hidden: () => fail({ status: 403, expose: false }),
  odd: () => fail({ status: 200 }),
  rejected: async () => fail({ status: 410 }),
  value: () => { throw { status: 404, message: 'nothing there' }; },
  nil: () => { throw null; },
})[of]();";

#[test]
fn a_thrown_error_becomes_a_problem_with_a_status() {
    let function = Package::new(&[("e.mjs", ERRORS)]).start(&node_handler("e.mjs", "error"));
    let expect = |of: &str, status: u16, detail: &str| {
        let answer = function.get(&format!("/?of={of}"));
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, Some("application/problem+json")),
            "{of}"
        );
        let problem = answer.json();
        assert_eq!(
            (&problem["status"], &problem["detail"]),
            (&json!(status), &json!(detail)),
            "{of}"
        );
        assert_eq!(problem["instance"], REQUEST_ID);
        problem
    };
    let kept = "the function failed; its log says why";
    let plain = expect("plain", 500, kept);
    assert_eq!(
        (&plain["title"], &plain["name"]),
        (&json!("Internal Server Error"), &json!("TypeError"))
    );
    expect("status", 409, "secret");
    expect("statusCode", 422, "secret");
    expect("exposed", 503, "secret");
    expect("hidden", 403, kept);
    expect("odd", 500, kept);
    expect("rejected", 410, "secret");
    expect("value", 404, "nothing there");
    expect("nil", 500, kept);
}

#[test]
fn the_log_of_a_failure_holds_the_message_and_the_stack() {
    let mut function = Package::new(&[("e.mjs", ERRORS)]).start(&node_handler("e.mjs", "error"));
    function.get("/?of=plain");
    let line = function.log_line();
    let json =
        line.strip_prefix(&format!("\x1e{REQUEST_ID} ")).expect("the line belongs to the request");
    let line: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(
        (&line["level"], &line["message"], &line["status"]),
        (&json!("error"), &json!("secret"), &json!(500))
    );
    assert!(line["stack"].as_str().unwrap().contains("e.mjs"));
}
