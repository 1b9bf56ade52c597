//! Start, connections, end.

use serde_json::json;

use crate::runtime_support::{Package, python_handler};

#[test]
fn a_handler_may_be_named_by_its_module_and_import_its_neighbours() {
    let files = [
        ("pkg/__init__.py", ""),
        ("pkg/mod.py", "import top\nclass A:\n  @staticmethod\n  def f(ctx): return top.word\n"),
        ("top.py", "word = 'dotted'"),
    ];
    assert_eq!(
        Package::new(&files).start(&python_handler("pkg.mod", "A.f")).get("/").text(),
        "dotted"
    );
    let files = [
        ("src/main.py", "import beside, top\ndef f(ctx): return beside.word + top.word"),
        ("src/beside.py", "word = 'be'"),
        ("top.py", "word = 'side'"),
    ];
    assert_eq!(
        Package::new(&files).start(&python_handler("src/main.py", "f")).get("/").text(),
        "beside"
    );
}

#[test]
fn a_start_that_fails_says_why() {
    let failed = |text: &str| {
        let mut function = Package::new(&[("m.py", text)]).spawn(&python_handler("m.py", "hello"));
        let word = function.word()["failed"].clone();
        assert_eq!(function.wait().code(), Some(1));
        word
    };
    let word = failed("def hallo(ctx): pass\n");
    assert_eq!(
        word,
        json!({"reason": "handler_not_found", "message": "m.py has no callable hello; it has hallo"})
    );
    let word = failed("raise RuntimeError('no database')");
    assert_eq!(
        (&word["reason"], &word["message"]),
        (&json!("module_failed"), &json!("RuntimeError: no database"))
    );
    assert!(word["stack"].as_str().unwrap().contains("m.py"));
    assert_eq!(
        failed("import nowhere")["message"],
        "ModuleNotFoundError: No module named 'nowhere'"
    );
    assert_eq!(failed("import sys; sys.exit(0)")["reason"], "module_failed");
}

const SLOW: &str = "
import threading
gate = threading.Event()
def slow(ctx, args=None):
    if args: return gate.set()
    print('begun')
    gate.wait()
    return 'finished'
";

#[test]
fn on_sigterm_what_runs_is_finished_and_the_process_ends() {
    let mut function = Package::new(&[("s.py", SLOW)]).start(&python_handler("s.py", "slow"));
    // A kept connection, to open the gate with once the listener is closed.
    let mut kept = std::os::unix::net::UnixStream::connect(function.socket()).unwrap();
    std::io::Write::write_all(
        &mut kept,
        b"POST /?go=1 HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n",
    )
    .unwrap();
    let call = function.curl("/").open();
    assert!(function.log_line().ends_with("begun\n"));
    function.terminate();
    std::io::Write::write_all(&mut kept, b"0\r\n\r\n").unwrap();
    assert!(call.finish().ends_with("finished"));
    assert!(function.wait().success());
}

#[test]
fn a_connection_is_kept_for_the_next_request() {
    let function = crate::arguments::echo();
    let answer = function
        .curl("/?n=1")
        .args(&["http://tested/?n=2", "--write-out", "|%{num_connects}"])
        .answer();
    assert!(answer.text().ends_with("[{\"n\":\"2\"}]|0"), "{}", answer.text());
}

#[test]
fn the_adapters_are_compiled_once_for_all_starts() {
    let dir = tempfile::tempdir().unwrap();
    let adapters = hatchway_sandbox::runtime::install_adapters(dir.path()).unwrap();
    let python = crate::runtime_support::interpreters().python.unwrap();
    adapters.compile(&python).unwrap();
    let cache = adapters.dir.join("python/hatchway_adapter/__pycache__");
    let name = format!("server.cpython-{}{}.pyc", python.version.0, python.version.1);
    assert!(cache.join(&name).is_file(), "no {name}");
}
