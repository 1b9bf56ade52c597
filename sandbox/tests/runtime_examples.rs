//! The examples, started as a sandbox would start them; `tests/` calls them through the gateway.

#![allow(clippy::unwrap_used, reason = "a test that cannot start has failed")]

mod runtime_support;

use runtime_support::{
    Package, example, installed, node_handler, node_main, python_app, python_handler,
};
use serde_json::json;

#[test]
fn hello_node_greets() {
    let package = Package::example("hello-node").env("GREETING", "Hello");
    let function = package.start(&node_handler("src/hello.mjs", "hello"));
    assert_eq!(function.get("/hello?name=Ada").json()["message"], "Hello, Ada!");
    let by_body = function.curl("/hello").body("application/json", r#"{"name": "Bob"}"#).answer();
    assert_eq!(by_body.json()["message"], "Hello, Bob!");
    assert_eq!(
        function.curl("/hello").body("application/json", r#"{"name": 7}"#).answer().status,
        422
    );
}

#[test]
fn stream_python_sends_each_prime_as_it_is_found() {
    let function =
        Package::example("stream-python").start(&python_handler("src/primes.py", "primes"));
    assert_eq!(function.get("/stream?count=5").text(), "2\n3\n5\n7\n11\n");
    assert_eq!(function.get("/stream?from=1000000000000&count=1").text(), "1000000000039\n");
    assert_eq!(
        function.get("/stream?from=many").json()["detail"],
        "from must be a whole number, not 'many'"
    );
    let mut endless = function.curl("/stream?count=1000000000").open();
    endless.read_to("101");
    endless.hang_up();
}

#[test]
fn chat_sse_answers_word_by_word() {
    let package = Package::example("chat-sse").env("MS_PER_WORD", "1");
    let function = package.start(&node_handler("src/chat.mjs", "chat"));
    let answer =
        function.curl("/chat").body("application/json", r#"{"prompt": "Hi there"}"#).answer();
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let text = answer.text();
    assert!(text.starts_with("data: {\"index\":0,\"delta\":\"Hello! \"}\n\n"), "{text}");
    assert!(
        text.ends_with("data: {\"done\":true,\"usage\":{\"prompt\":2,\"completion\":22}}\n\n"),
        "{text}"
    );
    assert_eq!(function.get("/chat").status, 422);
}

#[test]
fn site_answers_the_question_of_its_page() {
    let function = Package::example("site").start(&node_handler("src/oracle.mjs", "answer"));
    let ask = || {
        function
            .curl("/site/ask")
            .body("application/json", r#"{"question": "Will it hatch?"}"#)
            .answer()
    };
    let (first, second) = (ask().json(), ask().json());
    assert_eq!(first["answer"], second["answer"]);
    assert_eq!((&first["answered"], &second["answered"]), (&json!(1), &json!(2)));
}

#[test]
fn shop_express_runs_unmodified() {
    installed(example("shop-express").join("node_modules"));
    let mut function = Package::example("shop-express").start(&node_main("server.js"));
    assert_eq!(function.log_line(), "the shop is open on port 8080\n");
    assert_eq!(function.get("/products").json().as_array().unwrap().len(), 4);
    assert!(function.get("/").text().contains("Incubator"));
    assert_eq!(function.get("/products/stone").status, 404);
    let order = r#"{"lines": [{"id": "feed", "count": 2}, {"id": "nest"}]}"#;
    let order = function.curl("/orders").body("application/json", order).answer();
    assert_eq!((order.status, &order.json()["total"]), (201, &json!(3600)));
}

#[test]
fn notes_flask_runs_unmodified_under_gunicorn() {
    installed(example("notes-flask").join(".venv"));
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("notes.sqlite");
    let package = Package::example("notes-flask").env("NOTES_DATABASE", database.to_str().unwrap());
    let function = package.start(&python_app("main", "app"));
    let added =
        function.curl("/notes").body("application/json", r#"{"text": "buy <straw>"}"#).answer();
    assert_eq!((added.status, added.json()), (201, json!({"id": 1, "text": "buy <straw>"})));
    let by_form =
        function.curl("/").body("application/x-www-form-urlencoded", "text=turn+eggs").answer();
    assert_eq!((by_form.status, by_form.header("location")), (302, Some("/")));
    assert!(function.get("/").text().contains("buy &lt;straw&gt;"));
    assert_eq!(function.get("/notes").json()[0]["text"], "turn eggs");
    assert_eq!(function.curl("/notes/1").method("DELETE").answer().status, 204);
    assert_eq!(function.curl("/notes/1").method("DELETE").answer().status, 404);
    assert_eq!(function.curl("/notes").body("application/json", "{}").answer().status, 422);
}

#[test]
fn quotes_starlette_runs_unmodified_under_uvicorn() {
    installed(example("quotes-starlette").join(".venv"));
    let function = Package::example("quotes-starlette").start(&python_app("main", "app"));
    assert!(function.get("/").json()["quote"].is_string());
    let mut stream = function.curl("/stream").open();
    stream.read_to("content-type: text/event-stream; charset=utf-8");
    stream.hang_up();
}
