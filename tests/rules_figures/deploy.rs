//! `hatchway deploy` of projects as people have them, into etcd, a store, a gateway and a node.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use hatchway_tests::{
    Etcd, GatewayProgram, NodeProgram, PATIENCE, Project, eventually, program_path, skipped,
};
use tempfile::TempDir;

use crate::fleet::asks;
use crate::report::{Report, percentile};

/// After the first, which has everything to send.
const RUNS: usize = 10;

/// Between two looks whether the new version answers.
const LOOK: Duration = Duration::from_millis(2);

/// A project of `examples/`.
struct Example {
    name: &'static str,
    /// What is installed into it.
    brings: &'static str,
    host: &'static str,
    /// A file of its code, to which the next version adds a line.
    file: &'static str,
    /// A line by which the n-th version answers at [`path`](Self::path), and a place to put the number.
    line: &'static str,
    path: &'static str,
}

const NODE: Example = Example {
    name: "shop-express",
    brings: "node_modules",
    host: "shop.localhost",
    file: "products.js",
    line: "products.push({ id: 'build-N', name: 'N', price: 0 });\n",
    path: "/products/build-N",
};

const PYTHON: Example = Example {
    name: "notes-flask",
    brings: ".venv",
    host: "notes.localhost",
    file: "main.py",
    line: "\n\n@app.get(\"/build-N\")\ndef build_N():\n    return \"N\"\n",
    path: "/build-N",
};

/// Everything that is asked for a deployed version.
struct Site {
    // In the order of their end.
    gateway: GatewayProgram,
    _node: NodeProgram,
    _machine: Project,
    store: TempDir,
    etcd: Etcd,
}

pub(crate) fn measure(report: &mut Report) {
    for (example, label) in [(NODE, "with node_modules"), (PYTHON, "with a .venv")] {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
        let folder = examples.join(example.name);
        if !folder.join(example.brings).exists() {
            let lacks = format!("{}/{}", example.name, example.brings);
            skipped("deploys", &format!("{lacks} (examples/setup.sh installs it)"));
            continue;
        }
        let project = copied(&folder);
        let site = Site::start();
        let mut times: Vec<f64> = (0..=RUNS).map(|n| site.deploy(&project, &example, n)).collect();
        let first = times.remove(0);
        let (p50, worst) = (percentile(&mut times, 50), percentile(&mut times, 100));
        let figure = format!("{p50:.0} ms, worst of {RUNS} {worst:.0} ms, the first {first:.0} ms");
        let what =
            format!("from `hatchway deploy` of {} {label} to its first answer", example.name);
        report.row(&what, "2,000 ms", figure);
    }
}

/// A project of our own, with all that is installed into it.
fn copied(folder: &Path) -> Project {
    let project = Project::new("");
    let mut from = folder.as_os_str().to_owned();
    from.push("/.");
    let copied = Command::new("cp").arg("-a").arg(from).arg(project.folder()).status();
    assert!(copied.expect("cp is there").success());
    project
}

impl Example {
    fn numbered(text: &str, n: usize) -> String {
        text.replace('N', &n.to_string())
    }

    /// Makes the n-th version of it.
    fn change(&self, project: &Project, n: usize) {
        let path: PathBuf = project.folder().join(self.file);
        let code = fs::read_to_string(path).expect("it was copied");
        project.write(self.file, code + &Self::numbered(self.line, n));
    }
}

impl Site {
    fn start() -> Self {
        let store = tempfile::Builder::new().prefix("hw-store").tempdir().expect("a folder");
        // Nodes that root starts read it as somebody else.
        fs::set_permissions(store.path(), fs::Permissions::from_mode(0o755)).expect("own folder");
        let (etcd, machine) = (Etcd::start(), Project::over(Path::new("/nowhere")));
        let rules = ["--etcd".to_owned(), etcd.url()];
        let words = [&rules[..], &["--store".to_owned(), url(&store)]].concat();
        let node = NodeProgram::start_in(&machine, &words, &[]);
        let gateway = GatewayProgram::start_to(&machine, &node.address, &rules);
        eventually("the gateway hears etcd", || {
            (gateway.admin.status()["catalog"]["link"]["state"] == "connected").then_some(())
        });
        Self { gateway, _node: node, _machine: machine, store, etcd }
    }

    /// Milliseconds from the command to the first answer of the n-th version.
    fn deploy(&self, project: &Project, example: &Example, n: usize) -> f64 {
        example.change(project, n);
        let path = Example::numbered(example.path, n);
        let mut raw = self.gateway.raw();
        let begun = Instant::now();
        let mut command = Command::new(program_path("hatchway"));
        command.arg("deploy").arg(project.folder()).args(["--etcd", &self.etcd.url()]);
        command.args(["--store", &url(&self.store)]).stdout(Stdio::null()).stderr(Stdio::piped());
        let command = command.spawn().expect("the program starts");
        while asks(&mut raw, example.host, &path) != 200 {
            assert!(begun.elapsed() < PATIENCE, "{} answers nothing at {path}", example.name);
            thread::sleep(LOOK);
        }
        let took = begun.elapsed().as_secs_f64() * 1e3;
        let output = command.wait_with_output().expect("it is our child");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        took
    }
}

fn url(store: &TempDir) -> String {
    format!("file://{}", store.path().display())
}
