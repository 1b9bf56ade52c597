//! A change at one gateway first: it goes on, or back, and back by itself when nobody watches any more.

use std::process::{Command, Stdio};

use hatchway_tests::{GatewayProgram, NodeProgram, Project, eventually, program_path};

use crate::acknowledged::gateway;
use crate::place::{Place, build};

/// Two gateways over a node, and an applied project.
struct Site {
    first: GatewayProgram,
    other: GatewayProgram,
    _node: NodeProgram,
    project: Project,
    rules: Place,
}

impl Site {
    fn start() -> Self {
        let (rules, project) = (Place::etcd(), build("stable"));
        let node = NodeProgram::start_with(&project, &rules.words);
        let (first, other) = (gateway(&project, &rules, "gw-1"), gateway(&project, &rules, "gw-2"));
        rules.apply(&project, &["--wait"]);
        eventually("both are there", || {
            (rules.json(&["status"]).as_object()?.len() == 2).then_some(())
        });
        Self { first, other, _node: node, project, rules }
    }

    /// A change of the route, tried at the first gateway for a minute.
    fn trying(&self, path: &str) -> std::process::Child {
        self.moved(path);
        let mut command = Command::new(program_path("hatchway"));
        command.arg("apply").arg(self.project.folder()).args(&self.rules.words);
        command.args(["--first", "gw-1", "--for", "60s"]);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts")
    }

    fn moved(&self, path: &str) {
        let manifest = format!(
            "[function.hello]\nruntime = \"node\"\nhandler = \"hello.mjs#hello\"\nhttp = {{ path = \"{path}\" }}\n"
        );
        self.project.write("hatchway.toml", manifest);
    }

    #[track_caller]
    fn first_serves(&self, path: &str) {
        eventually(path, || (self.first.get(path).status == 200).then_some(()));
    }
}

#[test]
fn a_change_that_does_well_at_one_gateway_goes_to_all() {
    let site = Site::start();
    site.moved("/moved");
    let told = site.rules.apply(&site.project, &["--first", "gw-1", "--for", "1s", "--wait"]);
    assert_eq!(told["gateways"], 2, "{told}");
    for gateway in [&site.first, &site.other] {
        assert_eq!((gateway.get("/moved").status, gateway.get("/hello").status), (200, 404));
    }
    let folder = site.project.folder().display().to_string();
    site.moved("/again");
    let why = site.rules.refuses(&["apply", &folder, "--first", "gw-9"]);
    assert!(why.contains("there are: gw-1, gw-2"), "{why}");
}

#[test]
fn a_change_that_fails_goes_back_and_no_other_gateway_has_seen_it() {
    let site = Site::start();
    for _ in 0..50 {
        assert_eq!(site.first.get("/hello").status, 200);
    }
    let trial = site.trying("/moved");
    site.first_serves("/moved");
    // Clients go on as before: at this gateway nobody is there for them any more.
    let lost = (0..).take_while(|_| site.first.get("/hello").status == 404).count();
    assert!(lost >= 5, "{lost} were enough to tell");
    assert_eq!((site.other.get("/hello").status, site.other.get("/moved").status), (200, 404));
    let output = trial.wait_with_output().expect("it is our child");
    let why = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{why}");
    assert!(why.contains("requests failed") && why.contains("taken back from gw-1"), "{why}");
    assert_eq!(site.first.get("/moved").status, 404);
}

#[test]
fn a_change_goes_back_when_whoever_tries_it_is_killed_or_etcd_is_lost() {
    let mut site = Site::start();
    let mut trial = site.trying("/moved");
    site.first_serves("/moved");
    trial.kill().expect("it is our child");
    trial.wait().expect("it is our child");
    site.first_serves("/hello");
    assert_eq!(site.first.get("/moved").status, 404);

    let mut trial = site.trying("/again");
    site.first_serves("/again");
    site.rules.in_etcd_mut().kill();
    site.first_serves("/hello");
    assert_eq!(site.first.get("/again").status, 404);
    trial.wait().expect("it is our child");
}
