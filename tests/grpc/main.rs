//! gRPC as its own library speaks it, from client to function: every kind of call, deadlines, errors, cancellation, and
//! what the platform says itself. And functions that speak HTTP/2 to clients that do not.

mod http1;

use std::fs;
use std::path::Path;
use std::process::Command;

use hatchway_tests::{Pair, Project, Up, python_with_packages, skipped};

const SERVICES: [(&str, &str); 3] = [
    ("Echo", "concurrency = 64"),
    ("Rare", "rate = 1"),
    ("Hasty", "timeouts = { run = \"700ms\", first_byte = \"600ms\" }"),
];

fn project() -> Project {
    let mut manifest = String::from(
        "[function.broken]\nruntime = \"command\"\ncommand = [\"python3\", \"broken.py\"]\n\
         protocol = \"h2c\"\nhttp = { path = \"/test.Broken\" }\n",
    );
    for (service, more) in SERVICES {
        manifest += &format!(
            "[function.{}]\nruntime = \"command\"\ncommand = [\"python3\", \"server.py\"]\n\
             protocol = \"h2c\"\nhttp = {{ path = \"/test.{service}\" }}\n\
             memory = \"512MiB\"\nenv = {{ SERVICES = \"test.{service}\" }}\n{more}\n",
            service.to_lowercase(),
        );
    }
    Project::new(&manifest)
        .file("server.py", include_str!("server.py"))
        .file("broken.py", "raise SystemExit(1)\n")
}

/// Puts the library where the server looks for it: inside of the package, as a deployed one would have it.
fn pack(project: &Project, python: &Path) {
    let script = "import os, grpc, typing_extensions; print(os.path.dirname(grpc.__file__)); \
                  print(typing_extensions.__file__)";
    let output = Command::new(python).args(["-c", script]).output().expect("python runs");
    let text = String::from_utf8(output.stdout).expect("paths are text");
    let lib = project.folder().join("lib");
    fs::create_dir(&lib).expect("own folder");
    for path in text.lines() {
        let copied = Command::new("cp").args(["-r", path]).arg(&lib).status();
        assert!(copied.expect("cp runs").success(), "{path}");
    }
}

#[track_caller]
fn client(python: &Path, address: &str, case: &str, authority: Option<&Path>) {
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/grpc/client.py")).args([address, case]);
    let output = command.args(authority).output().expect("python runs");
    let (text, errors) = (output.stdout, String::from_utf8_lossy(&output.stderr).into_owned());
    assert_eq!(String::from_utf8_lossy(&text), "well\n", "{case}:\n{errors}");
}

fn test(case: &str) {
    let Some(python) = python_with_packages() else { return skipped(case, "grpcio in a venv") };
    let project = project();
    pack(&project, &python);
    let up = Up::start(&project);
    client(&python, &up.address.to_string(), case, None);
    up.stop();
}

#[test]
fn calls_one_after_the_other_many_at_once_and_large() {
    test("calls");
}

#[test]
fn a_thousand_messages_each_way_in_every_kind_of_stream() {
    test("streams");
}

#[test]
fn metadata_passes_both_ways() {
    test("metadata");
}

#[test]
fn errors_of_the_function_are_its_own() {
    test("failure");
}

#[test]
fn a_deadline_ends_the_call_and_the_function_hears_of_it() {
    test("deadline");
}

#[test]
fn a_client_that_gives_up_is_noticed_by_the_function() {
    test("cancel");
}

#[test]
fn failures_of_the_platform_are_told_as_a_status() {
    test("platform");
}

#[test]
fn calls_come_through_tls() {
    let Some(python) = python_with_packages() else { return skipped("TLS", "grpcio in a venv") };
    let project = project();
    pack(&project, &python);
    let [certificate, key] = ["a.crt", "a.key"].map(|name| project.root().join(name));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args([
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=a.test",
            "-addext",
            "subjectAltName=DNS:a.test",
        ])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output();
    assert!(made.expect("openssl runs").status.success());
    let [cert_path, key_path] = [&certificate, &key].map(|path| path.display().to_string());
    let arguments =
        ["--tls-listen", "127.0.0.1:0", "--tls-cert", &cert_path, "--tls-key", &key_path];
    let up = Up::start_with(&project, &arguments);
    let address = up.output().wait("the address for TLS", |line| {
        Some(line.strip_prefix("tls ")?.trim_start().strip_prefix("https://")?.to_owned())
    });
    for case in ["calls", "streams"] {
        client(&python, &address, case, Some(&certificate));
    }
    up.stop();
}

#[test]
fn all_of_it_works_with_gateway_and_node_in_two_processes() {
    let Some(python) = python_with_packages() else {
        return skipped("two processes", "grpcio in a venv");
    };
    let project = project();
    pack(&project, &python);
    let pair = Pair::start(&project);
    for case in ["calls", "streams", "metadata", "failure", "deadline", "cancel", "platform"] {
        client(&python, &pair.gateway.address.to_string(), case, None);
    }
    pair.gateway.stop();
    pair.node.stop();
}
