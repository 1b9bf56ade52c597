//! What a version runs, once its manifest has been checked.

/// The runtime of a version and where its code begins.
///
/// Paths are relative to the package, with `/` between their parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Runtime {
    Node(NodeEntry),
    Python(PythonEntry),
    /// Any HTTP server. A first word with a `/` in it is a file of the package; one without is
    /// looked up on `PATH`.
    Command {
        argv: Vec<String>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeEntry {
    /// `handler = "src/hello.mjs#hello"`: one exported function, called per request.
    Handler { module: String, export: String },
    /// `main = "server.js"`: a script that calls `listen`, not changed in any way.
    Main { script: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PythonEntry {
    /// `handler = "src/hello.py:hello"`, or `pkg.hello:hello`: one function, called per request.
    Handler { module_path: String, attribute: String },
    /// `app = "main:app"`: a WSGI or ASGI application, not changed in any way.
    App { module: String, attribute: String },
}
