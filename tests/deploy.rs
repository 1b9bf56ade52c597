//! What `deploy/` says to the programs is what they understand.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hatchway_tests::program_path;

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(path)
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The arguments of a container, with what Kubernetes would put into them.
fn arguments(manifest: &str) -> Vec<String> {
    let known = [("$(POD_NAME)", "a"), ("$(POD_IP)", "127.0.0.1"), ("$(NODE_NAME)", "b")];
    let text = text(&deploy(manifest));
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("- --"));
    lines
        .map(|line| known.iter().fold(format!("--{line}"), |line, (name, is)| line.replace(name, is)))
        .collect()
}

/// All arguments are looked at before help is given.
fn understands(program: &str, arguments: &[String]) {
    assert!(arguments.len() > 3, "{arguments:?}");
    let mut command = Command::new(program_path(program));
    let output = command.args(arguments).arg("--help").output().expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}:\n{errors}", arguments.join(" "));
}

#[test]
fn manifests_say_what_the_programs_understand() {
    understands("hatchway-gateway", &arguments("kubernetes/gateway/deployment.yaml"));
    for kind in ["daemonset", "statefulset"] {
        understands("hatchway-node", &arguments(&format!("kubernetes/node/{kind}/node.yaml")));
    }
}

#[test]
fn units_say_what_the_programs_understand() {
    for program in ["hatchway-gateway", "hatchway-node"] {
        let unit = text(&deploy(&format!("systemd/{program}.service")));
        let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("it starts");
        let arguments = start.split_whitespace().skip(1).filter(|word| !word.starts_with('$'));
        understands(program, &arguments.map(str::to_owned).collect::<Vec<_>>());
    }
}
