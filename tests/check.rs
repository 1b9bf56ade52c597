//! Every mistake of a project is told before anything starts, all at once, each where it stands.

use std::process::Command;

use hatchway_tests::{Project, Source, Up, audit, program_path};

const MISTAKES: &str = r#"[function.one]
runtime = "node"
handler = "one.mjs#helo"
http = { path = "/one" }
memry = "128MiB"

[function.two]
runtime = "node"
handler = "missing.mjs#two"
http = { path = "/two" }
memory = "128 pounds"

[function.three]
runtime = "ruby"
http = { path = "/three" }

[function.four]
runtime = "python"
handler = "four.py#four"
http = { path = "/same" }

[function.five]
runtime = "python"
handler = "four.py#four"
http = { path = "/same" }
timeouts = { first_byte = "1h", run = "1m" }
"#;

/// What each mistake is told with: its line, the offending text, and what would be right.
const TOLD: [(usize, &str, &str); 7] = [
    (3, "helo", "hello"),
    (5, "memry", "memory"),
    (9, "missing.mjs", ""),
    (11, "128 pounds", "MiB"),
    (14, "ruby", ""),
    (26, "first_byte", "run"),
    (25, "/same", "four"),
];

fn project() -> Project {
    Project::new(MISTAKES)
        .file("one.mjs", "export const hello = () => 'hello';\n")
        .file("four.py", "def four(ctx):\n    return 4\n")
}

fn check(project: &Project, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(program_path("hatchway"))
        .arg("check")
        .args(arguments)
        .arg(project.folder())
        .env("NO_COLOR", "1")
        .output()
        .expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[track_caller]
fn assert_all_told(text: &str) {
    for (line, wrong, right) in TOLD {
        let place = format!("hatchway.toml:{line}:");
        let told = text.split("error:").find(|one| one.contains(&place) && one.contains(wrong));
        let told = told.unwrap_or_else(|| panic!("nothing about {wrong} on line {line}:\n{text}"));
        assert!(told.contains(right), "no {right:?} in:\n{told}");
    }
}

#[test]
fn check_tells_all_mistakes_at_once_with_line_text_and_suggestion() {
    let (code, _, told) = check(&project(), &[]);
    assert_eq!(code, Some(65));
    assert_all_told(&told);
}

#[test]
fn up_tells_the_same_and_starts_nothing() {
    let project = project();
    let (code, output) = Up::refused(&project, &[]);
    assert_eq!(code, Some(65));
    let told = output.text(Source::Err);
    assert_all_told(&told);
    assert!(told.contains("nothing was started"), "{told}");
    audit::Traces::of(&project).assert_none("after a refusal");
}

#[test]
fn programs_read_the_same_as_json() {
    let (code, out, _) = check(&project(), &["--json"]);
    assert_eq!(code, Some(65));
    let told: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(told["ok"], false);
    assert!(told["mistakes"].as_array().is_some_and(|all| all.len() >= TOLD.len()), "{told}");
}

#[test]
fn a_project_without_mistakes_passes() {
    let manifest = "[function.one]\nruntime = \"node\"\nhandler = \"one.mjs#hello\"\nhttp = { path = \"/one\" }\n";
    let project = Project::new(manifest).file("one.mjs", "export const hello = () => 'hello';\n");
    let (code, out, told) = check(&project, &[]);
    assert_eq!(code, Some(0), "{told}");
    assert!(out.contains("1 function, no mistakes"), "{out}");
}

#[test]
fn every_example_passes() {
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    // What is installed later is no mistake of the project: without it, those that need it are told.
    let installed = ["shop-express/node_modules", "notes-flask/.venv", "hyper-rust/server"];
    if let Some(missing) = installed.iter().find(|path| !examples.join(path).exists()) {
        return hatchway_tests::skipped("every_example_passes", &format!("examples/{missing}"));
    }
    let (code, _, told) = check(&Project::over(&examples), &[]);
    assert_eq!(code, Some(0), "{told}");
}
