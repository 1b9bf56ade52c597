//! Unmodified WSGI and ASGI applications, with the servers among their own packages.
//! Those come from the examples' environments, which `make setup` installs.

#![allow(clippy::unwrap_used, reason = "a test that cannot start has failed")]

mod runtime_support;

use runtime_support::{Function, Package, example, installed, python_app};
use serde_json::{Value, json};

const GUNICORN: &str = "notes-flask";
const UVICORN: &str = "quotes-starlette";

/// The packages of an example, linked into this one.
fn with_packages_of(of: &str, files: &[(&str, &str)]) -> Package {
    Package::new(files).link(".venv", &installed(example(of).join(".venv")))
}

const WSGI: &str = "
import json, os, threading
beats = []
beating = threading.Event()
def beat():
    beats.append(os.getpid())
    beating.wait()
threading.Thread(target=beat, daemon=True).start()

def app(environ, start_response):
    path = environ['PATH_INFO']
    if path == '/broken':
        raise ValueError('secret')
    if path == '/stream':
        start_response('200 OK', [('Content-Type', 'text/plain')])
        return (piece for piece in (b'one ', b'', b'two'))
    if path == '/late':
        start_response('200 OK', [('Content-Type', 'text/plain')])
        return late()
    if path == '/write':
        start_response('203 Other', [('X-Own', 'kept')])(b'written')
        return [b' and returned']
    if path == '/empty':
        start_response('304 Not Modified', [('ETag', 'x')])
        return []
    body = environ['wsgi.input'].read().decode()
    keys = ('REQUEST_METHOD', 'SCRIPT_NAME', 'PATH_INFO', 'QUERY_STRING', 'CONTENT_TYPE', 'wsgi.url_scheme', 'HTTP_X_OWN', 'HTTP_HOST')
    words = {key: environ.get(key) for key in keys}
    words['same process'] = [os.getpid()] == beats
    words['SERVER_SOFTWARE'] = environ.get('SERVER_SOFTWARE', '').split('/')[0]
    text = json.dumps(dict(words, body=body)).encode()
    start_response('200 OK', [('Content-Type', 'application/json'), ('Content-Length', str(len(text)))])
    return [text]

def late():
    yield b'begun'
    raise ValueError('broke')
";

fn wsgi_under_gunicorn() -> Function {
    with_packages_of(GUNICORN, &[("main.py", WSGI)]).start(&python_app("main", "app"))
}

fn wsgi_alone() -> Function {
    Package::new(&[("main.py", WSGI)]).start(&python_app("main", "app"))
}

fn expect_wsgi(function: &Function, software: &str) {
    let call =
        function.curl("/a%20b?c=%20").header("x-own", "1").header("x-forwarded-proto", "https");
    let answer = call.method("PUT").body("text/plain", "Grüezi").answer();
    let expected = json!({
        "REQUEST_METHOD": "PUT", "SCRIPT_NAME": "", "PATH_INFO": "/a b", "QUERY_STRING": "c=%20", "CONTENT_TYPE": "text/plain",
        "wsgi.url_scheme": "https", "HTTP_X_OWN": "1", "HTTP_HOST": "tested", "same process": true,
        "SERVER_SOFTWARE": software, "body": "Grüezi",
    });
    assert_eq!((answer.status, answer.json()), (200, expected));
    let chunked = function
        .curl("/")
        .header("transfer-encoding", "chunked")
        .body("text/plain", "in chunks")
        .answer();
    assert_eq!(chunked.json()["body"], "in chunks");
    assert_eq!(function.get("/stream").text(), "one two");
    let head = function.curl("/").head().answer();
    assert_eq!((head.status, head.header("content-type")), (200, Some("application/json")));
    let write = function.get("/write");
    assert_eq!(
        (write.status, write.header("x-own"), write.text()),
        (203, Some("kept"), "written and returned")
    );
    let empty = function.get("/empty");
    assert_eq!((empty.status, empty.header("etag"), empty.text()), (304, Some("x"), ""));
    let broken = function.get("/broken");
    assert_eq!(broken.status, 500);
    assert!(!broken.text().contains("secret"));
    assert_eq!(function.get("/late").exit, 18, "curl: transfer closed with outstanding data");
}

#[test]
fn a_wsgi_application_is_served_by_its_own_gunicorn() {
    let mut function = wsgi_under_gunicorn();
    expect_wsgi(&function, "gunicorn");
    function.terminate();
    assert!(function.wait().success());
    assert!(
        function.rest_of_log().contains("ValueError: secret"),
        "the log has what the answer keeps"
    );
}

#[test]
fn a_wsgi_application_without_a_server_is_served_by_ours() {
    let mut function = wsgi_alone();
    expect_wsgi(&function, "");
    function.terminate();
    assert!(function.wait().success());
    assert!(
        function.rest_of_log().contains("ValueError: secret"),
        "the log has what the answer keeps"
    );
}

/// Two requests at once meet at a barrier, which a server of one thread would never pass.
const CROWD: &str = "
import threading
both = threading.Barrier(2)
def app(environ, start_response):
    both.wait()
    start_response('200 OK', [('Content-Length', '3')])
    return [b'met']
";

#[test]
fn wsgi_requests_run_side_by_side() {
    let files = [("main.py", CROWD)];
    for package in [with_packages_of(GUNICORN, &files), Package::new(&files)] {
        let function = package.concurrency(2).start(&python_app("main", "app"));
        let calls = [function.curl("/").open(), function.curl("/").open()];
        calls.into_iter().for_each(|call| assert!(call.finish().ends_with("met")));
    }
}

#[test]
fn a_connection_is_kept_for_the_next_request() {
    let asgi = with_packages_of(UVICORN, &[("main.py", ASGI)]).start(&python_app("main", "app"));
    for function in [wsgi_under_gunicorn(), wsgi_alone(), asgi] {
        let answer = function
            .curl("/?n=1")
            .args(&["http://tested/", "--write-out", "|%{num_connects}"])
            .answer();
        assert!(answer.text().ends_with("|0"), "{}", answer.text());
    }
}

const ASGI: &str = "
import asyncio, json
log = []
async def app(scope, receive, send):
    if scope['type'] == 'lifespan':
        while True:
            word = (await receive())['type']
            print(word)
            log.append(word)
            await send({'type': word + '.complete'})
            if word == 'lifespan.shutdown': return
    start = {'type': 'http.response.start', 'status': 200, 'headers': [(b'content-type', b'text/plain')]}
    await send(start)
    if scope['path'] == '/stream':
        await send({'type': 'http.response.body', 'body': b'data: 1\\n\\n', 'more_body': True})
        while (await receive())['type'] != 'http.disconnect': pass
        print('left')
        return
    body = b''
    while True:
        message = await receive()
        body += message['body']
        if not message.get('more_body'): break
    words = dict(body=body.decode(), method=scope['method'], path=scope['path'], query=scope['query_string'].decode(), scheme=scope['scheme'], log=log)
    await send({'type': 'http.response.body', 'body': json.dumps(words).encode()})
";

#[test]
fn an_asgi_application_is_served_by_its_own_uvicorn() {
    let package = with_packages_of(UVICORN, &[("main.py", ASGI)]);
    let mut function = package.start(&python_app("main", "app"));
    let answer = function
        .curl("/a?b=1")
        .header("x-forwarded-proto", "https")
        .body("text/plain", "Grüezi")
        .answer();
    let expected = json!({"body": "Grüezi", "method": "POST", "path": "/a", "query": "b=1", "scheme": "https", "log": ["lifespan.startup"]});
    assert_eq!(answer.json(), expected);

    let mut call = function.curl("/stream").open();
    call.read_to("data: 1");
    call.hang_up();
    while function.log_line() != "left\n" {}
    function.terminate();
    assert!(function.wait().success());
    assert!(function.rest_of_log().contains("lifespan.shutdown"));
}

#[test]
fn the_kind_of_an_application_is_seen_by_what_it_takes() {
    let asgi = "
import functools
class Three:
    async def __call__(self, scope, receive, send):
        await send({'type': 'http.response.start', 'status': 200, 'headers': []})
        await send({'type': 'http.response.body', 'body': b'asgi'})
class Two:
    def __init__(self, scope): pass
    async def __call__(self, receive, send): await Three()(None, receive, send)
class Plain:
    def __call__(self, scope, receive, send): return Three()(scope, receive, send)
three, plain = Three(), Plain()
async def with_more(more, scope, receive, send): await three(scope, receive, send)
partial = functools.partial(with_more, 1)
";
    for name in ["three", "plain", "Two", "partial"] {
        let function =
            with_packages_of(UVICORN, &[("main.py", asgi)]).start(&python_app("main", name));
        assert_eq!(function.get("/").text(), "asgi", "{name}");
    }
    let wsgi = "
import functools
class App:
    def __call__(self, environ, start_response):
        start_response('200 OK', [])
        return [b'wsgi']
class nested: app = App()
class Each:
    def __init__(self, environ, start_response): start_response('200 OK', [])
    def __iter__(self): return iter([b'wsgi'])
app = App()
@functools.wraps(app.__call__)
def wrapped(*args, **kwargs): return app(*args, **kwargs)
def hidden(*args): return app(*args)
def optional(environ, start_response, extra=None): return app(environ, start_response)
";
    for name in ["app", "nested.app", "wrapped", "hidden", "optional", "Each"] {
        let function = Package::new(&[("pkg/__init__.py", ""), ("pkg/main.py", wsgi)])
            .start(&python_app("pkg.main", name));
        assert_eq!(function.get("/").text(), "wsgi", "{name}");
    }
}

fn word_of(package: Package, attribute: &str) -> Value {
    let mut function = package.spawn(&python_app("main", attribute));
    let word = function.word()["failed"].clone();
    assert_eq!(function.wait().code(), Some(1));
    word
}

#[test]
fn a_start_that_fails_says_why() {
    let files = [(
        "main.py",
        "def none(): pass\nasync def asgi(scope, receive, send): raise SystemError('no database')\nword = 1",
    )];
    let word = word_of(Package::new(&files), "none");
    assert_eq!(word["reason"], "bad_app");
    let word = word_of(Package::new(&files), "word");
    assert_eq!(
        (&word["reason"], &word["message"]),
        (&json!("bad_app"), &json!("main has no callable word; it has none, asgi"))
    );
    let word = word_of(Package::new(&files), "asgi");
    assert_eq!(word["reason"], "missing_dependency");
    assert!(word["message"].as_str().unwrap().contains("add `uvicorn`"), "{word}");
    let failing = "async def app(scope, receive, send):
    assert scope['type'] == 'lifespan'
    await receive()
    await send({'type': 'lifespan.startup.failed', 'message': 'no database'})";
    let word = word_of(with_packages_of(UVICORN, &[("main.py", failing)]), "app");
    assert_eq!(word["reason"], "bad_app");
    assert!(
        word["message"].as_str().unwrap().starts_with("the server ended before it was ready"),
        "{word}"
    );
}

#[test]
fn packages_of_another_python_are_not_used() {
    let package =
        Package::new(&[("main.py", "app = None"), (".venv/lib/python2.7/site-packages/x.py", "")]);
    let word = word_of(package, "app");
    assert_eq!(word["reason"], "python_mismatch");
    assert!(
        word["message"]
            .as_str()
            .unwrap()
            .starts_with("the .venv is for python2.7, this is python3."),
        "{word}"
    );
}
