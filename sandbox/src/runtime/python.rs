//! Runtime `python`: a plain handler, or a WSGI or ASGI application.
//!
//! Flags: `-S` leaves out the interpreter's own site-packages, which are not part of the package
//! and cost most of a bare start (7 ms against 40 ms); the adapter adds those of the package's
//! `.venv`. `-s` does the same to the user's own. `-B` because the package is read-only. The
//! `PYTHON*` variables that a function sets for itself keep their meaning.

use super::plan::{Layout, StartPlan, listener_mark};
use super::{Interpreter, PythonEntry};

pub(super) const FLAGS: [&str; 3] = ["-S", "-s", "-B"];

pub(super) fn plan(entry: &PythonEntry, interpreter: &Interpreter, layout: &Layout) -> StartPlan {
    let (adapter, module, attribute) = match entry {
        PythonEntry::Handler { module_path, attribute } => ("handler.py", module_path, attribute),
        PythonEntry::App { module, attribute } => ("app.py", module, attribute),
    };
    let adapter = layout.adapters.join("python").join(adapter).display().to_string();
    let mut argv = vec![interpreter.path.clone()];
    argv.extend(FLAGS.map(str::to_owned));
    argv.extend([adapter, module.clone(), attribute.clone()]);
    StartPlan {
        argv,
        env: vec![listener_mark()],
        read_only_mounts: interpreter.mounts.clone(),
        inherits_listener: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handler_and_application_have_an_adapter_each_and_share_the_flags() {
        let mounts = vec![("/opt/python".into(), "/opt/python".into())];
        let python =
            Interpreter { path: "/opt/python/bin/python3".into(), version: (3, 11, 7), mounts };
        let handler =
            PythonEntry::Handler { module_path: "src/hello.py".into(), attribute: "hello".into() };
        let handler = plan(&handler, &python, &Layout::default());
        let words = [
            "/opt/python/bin/python3",
            "-S",
            "-s",
            "-B",
            "/hatchway/python/handler.py",
            "src/hello.py",
            "hello",
        ];
        assert_eq!(handler.argv, words);
        assert_eq!(handler.read_only_mounts, python.mounts);
        let app = PythonEntry::App { module: "main".into(), attribute: "app".into() };
        assert_eq!(
            plan(&app, &python, &Layout::default()).argv[4..],
            ["/hatchway/python/app.py", "main", "app"]
        );
    }
}
