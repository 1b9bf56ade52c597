//! What becomes of a result, and of a failure.

use serde_json::json;

use crate::runtime_support::{Package, REQUEST_ID, python_handler};

const RESULTS: &str = "
import datetime, dataclasses
@dataclasses.dataclass
class Point:
    x: int
    at: datetime.date
async def later(): return {'x': 'Grüezi'}
results = dict(
    nothing=lambda: None, text=lambda: 'Grüezi', bytes=lambda: b'\\x00\\xff', view=lambda: memoryview(b'ab'),
    later=later, list=lambda: [1, 2], false=lambda: False,
    point=lambda: Point(1, datetime.date(1970, 1, 1)),
    impossible=lambda: object(), nan=lambda: float('nan'),
)
def result(ctx, args): return results[args['of']]()
";

#[test]
fn a_result_becomes_an_answer_by_its_type() {
    let function = Package::new(&[("r.py", RESULTS)]).start(&python_handler("r.py", "result"));
    let expect = |of: &str, status: u16, kind: Option<&str>, body: &[u8]| {
        let answer = function.get(&format!("/?of={of}"));
        assert_eq!(
            (answer.status, answer.header("content-type"), &answer.body[..]),
            (status, kind, body),
            "{of}"
        );
    };
    expect("nothing", 204, None, b"");
    expect("text", 200, Some("text/plain; charset=utf-8"), "Grüezi".as_bytes());
    expect("bytes", 200, Some("application/octet-stream"), b"\x00\xff");
    expect("view", 200, Some("application/octet-stream"), b"ab");
    expect("later", 200, Some("application/json"), "{\"x\":\"Grüezi\"}".as_bytes());
    expect("list", 200, Some("application/json"), b"[1,2]");
    expect("false", 200, Some("application/json"), b"false");
    expect("point", 200, Some("application/json"), b"{\"x\":1,\"at\":\"1970-01-01\"}");
    assert_eq!(function.get("/?of=impossible").status, 500);
    assert_eq!(function.get("/?of=nan").status, 500);
}

const ERRORS: &str = "
class Failure(Exception):
    def __init__(self, **fields):
        super().__init__('secret')
        vars(self).update(fields)
cases = dict(
    plain={}, status=dict(status=409), status_code=dict(status_code=422), exposed=dict(status=503, expose=True),
    hidden=dict(status=403, expose=False), odd=dict(status=200),
)
async def rejected(): raise Failure(status=410)
def error(ctx, args):
    of = args['of']
    if of == 'rejected': return rejected()
    if of == 'exit': raise SystemExit(3)
    if of == 'file': open('/nowhere')
    raise Failure(**cases[of])
";

#[test]
fn a_raised_exception_becomes_a_problem_with_a_status() {
    let function = Package::new(&[("e.py", ERRORS)]).start(&python_handler("e.py", "error"));
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
        (&json!("Internal Server Error"), &json!("Failure"))
    );
    expect("status", 409, "secret");
    expect("status_code", 422, "secret");
    expect("exposed", 503, "secret");
    expect("hidden", 403, kept);
    expect("odd", 500, kept);
    expect("rejected", 410, "secret");
    expect("exit", 500, kept);
    assert_eq!(expect("file", 500, kept)["name"], "FileNotFoundError");
}

#[test]
fn the_log_of_a_failure_holds_the_message_and_the_stack() {
    let mut function = Package::new(&[("e.py", ERRORS)]).start(&python_handler("e.py", "error"));
    function.get("/?of=plain");
    let line = function.log_line();
    let json =
        line.strip_prefix(&format!("\x1e{REQUEST_ID} ")).expect("the line belongs to the request");
    let line: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(
        (&line["level"], &line["message"], &line["status"]),
        (&json!("error"), &json!("secret"), &json!(500))
    );
    assert!(line["stack"].as_str().unwrap().contains("e.py"));
}
