//! What the real interpreters say of real files.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::ask::{Answer, Interpreter, Question, ask};

/// The names in one file, when asked for `name`; none when only a run would tell.
fn names(interpreter: Interpreter, file: &str, text: &str, name: &str) -> Option<Vec<String>> {
    match answer(interpreter, file, text, Some(name)) {
        Answer::Names { names, is_open: false } => Some(names),
        Answer::Names { is_open: true, .. } => None,
        Answer::Broken { line, message } => panic!("{line:?}: {message}"),
    }
}

fn answer(interpreter: Interpreter, file: &str, text: &str, name: Option<&str>) -> Answer {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let path: PathBuf = folder.path().join(file);
    fs::write(&path, text).expect("the file can be written");
    let mut answers = ask(interpreter, &[Question { path: &path, name }]).expect("it answers");
    answers.pop().expect("one answer to one question")
}

#[test]
fn a_javascript_module_says_what_it_exports_without_being_run() {
    let text = "import fs, { readFileSync as read } from 'node:fs';\n\
                import * as gone from './is/not/there.js';\n\
                process.exit(9);\n\
                const local = await read(gone.x);\n\
                export const a = 1, { b, c: [d] } = local;\n\
                export async function* e() {}\n\
                export { fs as f };\n\
                export default class {}\n";
    let mut found = names(Interpreter::Node, "x.mjs", text, "zz").expect("a module is closed");
    found.sort();
    assert_eq!(found, ["a", "b", "d", "default", "e", "f"]);
    let inside = "export default { a() {} }";
    assert_eq!(names(Interpreter::Node, "x.mjs", inside, "a"), None);
    assert!(names(Interpreter::Node, "x.mjs", inside, "b").is_some());
    let open = "export * from './other.js'; export const a = 1";
    assert_eq!(names(Interpreter::Node, "x.mjs", open, "zz"), None);
}

#[test]
fn a_commonjs_file_is_believed_where_it_has_the_word() {
    let text = "process.exit(9); exports.one = 1; module.exports = { two };";
    assert_eq!(names(Interpreter::Node, "x.cjs", text, "two"), None);
    assert_eq!(names(Interpreter::Node, "x.cjs", text, "three"), Some(vec!["one".to_owned()]));
}

#[test]
fn a_js_file_is_what_its_text_or_its_package_says() {
    assert_eq!(names(Interpreter::Node, "x.js", "export let a", "b"), Some(vec!["a".to_owned()]));
    assert_eq!(names(Interpreter::Node, "x.js", "exports.a = 1", "b"), Some(vec!["a".to_owned()]));
}

#[test]
fn a_python_file_says_what_it_defines_without_being_run() {
    let text = "import sys, os.path as p\nsys.exit(9)\nfrom x import y as z\n\
                if p:\n    async def a(): pass\nelse:\n    b, (c, *d) = 1, (2, 3)\n\
                try:\n    import e\nexcept ImportError:\n    e = f = None\n\
                class G:\n    def inside(self): pass\n\
                with open('h') as h: pass\n_hidden: int = 1\n";
    let found = names(Interpreter::Python, "x.py", text, "zz").expect("no star");
    assert_eq!(found, ["sys", "p", "z", "a", "b", "c", "d", "e", "f", "G", "h"]);
    let hidden = names(Interpreter::Python, "x.py", text, "_hidden").expect("no star");
    assert!(hidden.contains(&"_hidden".to_owned()));
    assert_eq!(names(Interpreter::Python, "x.py", "from x import *", "zz"), None);
    assert_eq!(names(Interpreter::Python, "x.py", "def __getattr__(n): 1", "zz"), None);
}

#[test]
fn what_cannot_be_parsed_is_reported_with_its_line() {
    for (interpreter, file, text) in [
        (Interpreter::Node, "x.mjs", "const a = 1;\n\nx y\n"),
        (Interpreter::Node, "x.cjs", "const a = 1;\n\nx y\n"),
        (Interpreter::Node, "x.js", "const a = 1;\n\nx y\n"),
        (Interpreter::Python, "x.py", "a = 1\n\nx y\n"),
    ] {
        match answer(interpreter, file, text, None) {
            Answer::Broken { line: Some(3), message } => assert!(!message.is_empty()),
            other => panic!("{file}: {other:?}"),
        }
    }
}

#[test]
fn a_file_that_is_gone_is_an_answer_and_not_a_failure() {
    let path = PathBuf::from("/nonexistent/x");
    for interpreter in [Interpreter::Node, Interpreter::Python] {
        let answers = ask(interpreter, &[Question { path: &path, name: None }]).unwrap();
        assert!(matches!(answers[..], [Answer::Broken { line: None, .. }]), "{answers:?}");
    }
}
