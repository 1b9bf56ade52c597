//! new, check, apply, schema and completions on real folders.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use crate::support::{hatchway, run};
use serde_json::Value;
use tempfile::TempDir;

fn folder() -> TempDir {
    TempDir::new().expect("a temporary folder can be made")
}

#[test]
fn every_template_passes_the_check() {
    let folder = folder();
    for template in ["node", "python", "express", "flask", "rust"] {
        let project = folder.path().join(format!("my-{template}"));
        let (code, out, err) = run(&["new", project.to_str().unwrap(), "--template", template]);
        assert_eq!(code, 0, "{err}");
        assert!(out.contains("hatchway up"), "{out}");
    }
    // What a build would leave.
    let release = folder.path().join("my-rust/target/release");
    fs::create_dir_all(&release).unwrap();
    fs::write(release.join("my-rust"), "").unwrap();
    fs::set_permissions(release.join("my-rust"), PermissionsExt::from_mode(0o755)).unwrap();

    let (code, out, err) = run(&["check", "--json", folder.path().to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    let out: Value = serde_json::from_str(&out).expect("JSON");
    let names: Vec<&str> =
        out["functions"].as_array().unwrap().iter().map(|f| f["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["local/my-express", "local/my-flask", "local/my-node", "local/my-python", "local/my-rust"]
    );
    for note in out["notes"].as_array().unwrap() {
        assert!(note.as_str().unwrap().contains("is not installed"), "{note}");
    }
}

#[test]
fn new_leaves_what_is_there_as_it_is() {
    let folder = folder();
    let taken = folder.path().join("taken");
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("mine"), "mine").unwrap();
    let (code, _, err) = run(&["new", taken.to_str().unwrap(), "-t", "node"]);
    assert_eq!(code, 1);
    assert!(err.contains("is there already"), "{err}");
    assert_eq!(fs::read_dir(&taken).unwrap().count(), 1);
    let (code, _, err) =
        run(&["new", folder.path().join("My_Shop").to_str().unwrap(), "-t", "node"]);
    assert_eq!(code, 1);
    assert!(err.contains("\"my-shop\""), "{err}");
    assert_eq!(run(&["new", "x", "-t", "cobol"]).0, 2);
}

#[test]
fn check_reports_mistakes_for_people_and_for_programs() {
    let folder = folder();
    let manifest = folder.path().join("hatchway.toml");
    fs::write(&manifest, "[function.a]\nruntime = \"nodejs\"\nhttp = { path = \"a\" }\n").unwrap();
    let dir = folder.path().to_str().unwrap();
    let (code, out, err) = run(&["check", dir]);
    assert_eq!((code, out.as_str()), (65, ""));
    assert!(err.contains("2 | runtime = \"nodejs\"\n  |           ^^^^^^^^"), "{err}");
    assert!(err.contains("did you mean \"node\"?"), "{err}");
    assert!(err.contains("2 mistakes in the project"), "{err}");
    let (code, out, _) = run(&["check", "--json", dir]);
    let out: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &out["ok"]), (65, &Value::from(false)));
    let first = &out["mistakes"][0];
    assert_eq!(first["file"], manifest.to_str().unwrap());
    assert_eq!((&first["line"], &first["column"]), (&Value::from(2), &Value::from(11)));
    assert_eq!(first["text"], "\"nodejs\"");
}

#[test]
fn apply_writes_the_whole_catalog_or_nothing() {
    let folder = folder();
    let project = folder.path().join("hello");
    assert_eq!(run(&["new", project.to_str().unwrap(), "-t", "node"]).0, 0);
    let catalog = folder.path().join("state/catalog.json");
    let apply =
        || run(&["apply", project.to_str().unwrap(), "--catalog", catalog.to_str().unwrap()]);
    assert_eq!(apply().0, 0);
    let written = fs::read_to_string(&catalog).unwrap();
    let objects: hatchway_proto::catalog::Objects = serde_json::from_str(&written).unwrap();
    assert_eq!(objects.functions.len(), 1);
    assert_eq!(fs::metadata(&catalog).unwrap().permissions().mode() & 0o444, 0o444);

    fs::remove_file(project.join("src/hello.mjs")).unwrap();
    assert_eq!(apply().0, 65);
    assert_eq!(fs::read_to_string(&catalog).unwrap(), written);
    let files = fs::read_dir(catalog.parent().unwrap()).unwrap().count();
    assert_eq!(files, 2, "the catalog and its history: no temporary file is left");
}

/// A folder whose function answers `answer`, so that every answer is another version.
fn version(folder: &Path, answer: &str) -> String {
    let project = folder.join(answer);
    fs::create_dir_all(&project).expect("a folder can be made");
    let manifest = "[function.hello]\nruntime = \"node\"\nhandler = \"a.mjs#hello\"\nhttp = { path = \"/\" }\n";
    fs::write(project.join("hatchway.toml"), manifest).expect("a file can be written");
    fs::write(project.join("a.mjs"), format!("export const hello = () => '{answer}';\n"))
        .expect("a file can be written");
    project.to_str().expect("the path is UTF-8").to_owned()
}

#[test]
fn a_canary_is_added_grows_and_becomes_stable() {
    let folder = folder();
    let (one, two) = (version(folder.path(), "one"), version(folder.path(), "two"));
    let catalog = folder.path().join("catalog.json");
    let catalog = catalog.to_str().unwrap();
    assert_eq!(run(&["apply", &one, "--catalog", catalog]).0, 0);
    let release = |more: &[&str]| {
        let (code, out, err) =
            run(&[&["release", "hello", "--json", "--catalog", catalog], more].concat());
        match code {
            0 => Ok(serde_json::from_str::<Value>(&out).expect("JSON")["release"].clone()),
            _ => Err(err),
        }
    };
    let stable = release(&[]).unwrap()["stable"].clone();

    let canary =
        release(&["--add", &two, "--share", "new=5%", "--sticky", "header:X-User"]).unwrap();
    let id = canary["shares"][0]["version"].as_str().unwrap().to_owned();
    assert_ne!(stable, Value::from(id.as_str()));
    assert_eq!(
        (&canary["stable"], &canary["shares"][0]["basis_points"]),
        (&stable, &Value::from(500))
    );
    assert_eq!(canary["sticky"]["header"], "x-user");

    let share = format!("{}=50%", &id[..6]);
    assert_eq!(release(&["--share", &share]).unwrap()["shares"][0]["basis_points"], 5000);
    let tag = format!("next={id}");
    assert_eq!(release(&["--tag", &tag]).unwrap()["tags"]["next"], id.as_str());
    let done = release(&["--stable", &id, "--tag", "next="]).unwrap();
    assert_eq!((done["stable"].as_str(), done.get("shares")), (Some(id.as_str()), None));

    for (wrong, part) in [
        (["--share", "0=101%"], "no share"),
        (["--share", "new=5%"], "new is the version that --add adds"),
        (["--stable", "ffffffffffffffff"], "has no version that begins with"),
        (["--tag", &format!("a--b={id}")], "is not a tag"),
    ] {
        let said = release(&wrong).unwrap_err();
        assert!(said.contains(part), "{wrong:?}: {said}");
    }
    assert_eq!(release(&[]).unwrap(), done, "what is wrong changes nothing");
    let (_, table, _) = run(&["release", "hello", "--catalog", catalog]);
    assert!(table.lines().nth(1).is_some_and(|row| row.contains("100%")), "{table}");
}

#[test]
fn the_published_schema_is_what_schema_prints() {
    let (code, out, _) = run(&["schema"]);
    let published = concat!(env!("CARGO_MANIFEST_DIR"), "/../proto/hatchway.schema.json");
    assert_eq!((code, out), (0, fs::read_to_string(published).expect("it is published")));
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, _) = run(&["completions", shell]);
        assert_eq!(code, 0);
        for command in
            ["up", "new", "check", "apply", "release", "invoke", "logs", "ps", "status", "explain"]
        {
            assert!(out.contains(command), "{command} for {shell}");
        }
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let mut child = hatchway(&["completions", "zsh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("hatchway can be started");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
