//! A gateway over an etcd, and what is asked of it.

use std::path::Path;
use std::process::{Command, Output};

use hatchway_tests::{Answer, Client, Etcd, GatewayProgram, Project, eventually, program_path};
use serde_json::{Value, json};

/// Somebody may only write what they have seen.
pub(crate) const NEW: (&str, &str) = ("if-none-match", "*");

/// A gateway whose node is nowhere: its rules are what matters.
pub(crate) struct Site {
    pub(crate) gateway: GatewayProgram,
    pub(crate) etcd: Etcd,
    _project: Project,
}

impl Site {
    #[track_caller]
    pub(crate) fn start(more: &[&str]) -> Self {
        let etcd = Etcd::start();
        let project = Project::new("");
        let of_etcd = ["--etcd".to_owned(), etcd.url(), "--name".to_owned(), "gw-1".to_owned()];
        let more = more.iter().map(|word| (*word).to_owned());
        let words: Vec<String> = of_etcd.into_iter().chain(more).collect();
        let gateway = GatewayProgram::start_with(&project, &words);
        Self { gateway, etcd, _project: project }
    }

    /// The same, once it is among those that are waited for.
    #[track_caller]
    pub(crate) fn start_and_announce(more: &[&str]) -> Self {
        let site = Self::start(more);
        let name = |gateways: &Value| gateways["gw-1"]["revision"].as_i64();
        eventually("the gateway has said how far it is", || name(&site.get("/v1/gateways")));
        site
    }

    fn client(&self) -> Client {
        Client::new(self.gateway.admin.address)
    }

    /// Asks by any method.
    #[track_caller]
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Answer {
        let text = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let json = [("content-type", "application/json")];
        let headers = if body.is_null() { headers.to_vec() } else { [&json, headers].concat() };
        let answer = self.client().request(method, path, &headers, &text);
        answer.unwrap_or_else(|error| panic!("{method} {path} was not answered: {error}"))
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, &[], &Value::Null);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    #[track_caller]
    pub(crate) fn put(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        self.ask("PUT", path, headers, body)
    }

    /// A function with a version, a release and a route, which came to be together.
    #[track_caller]
    pub(crate) fn add_function(&self, name: &str) -> Answer {
        self.add_function_of(name, "00000000000000aa")
    }

    /// The same with a version of this name.
    #[track_caller]
    pub(crate) fn add_function_of(&self, name: &str, version: &str) -> Answer {
        let changes = function(name).to_string().replace("00000000000000aa", version);
        let changes: Value = serde_json::from_str(&changes).expect("JSON");
        let changes = json!({ "at": self.get("/v1/rules")["revision"], "changes": changes });
        let answer = self.ask("POST", "/v1/changes?wait=20", &[], &changes);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    }
}

/// Changes that make a function.
pub(crate) fn function(name: &str) -> Value {
    let function = format!("local/{name}");
    json!([
        { "key": format!("functions/{function}"), "object": {} },
        { "key": "versions/00000000000000aa", "object": version(&function) },
        { "key": format!("routes/{name}"), "object": route(name) },
        { "key": format!("releases/{function}"), "object": { "stable": "00000000000000aa" } },
    ])
}

pub(crate) fn route(function: &str) -> Value {
    json!({ "path": format!("/{function}"), "function": format!("local/{function}") })
}

pub(crate) fn version(function: &str) -> Value {
    json!({
        "function": function, "package": { "root": "/", "digest": "" },
        "runtime": { "kind": "command", "argv": ["a"] },
        "resources": { "cpu_millis": 1, "memory_bytes": 1, "pids": 1, "files": 1, "tmp_bytes": 1 },
        "concurrency": 1, "min": 0, "max": 1, "idle_timeout": "1s",
        "clocks": { "queue": "1s", "start": "1s", "first_byte": "1s", "idle": "1s", "run": "1s" },
    })
}

#[track_caller]
pub(crate) fn refuses(answer: &Answer, status: u16, why: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    let problem: Value = answer.json();
    let detail = problem["detail"].as_str().expect("a reason");
    assert!(detail.contains(why) && problem["status"] == status, "{problem}");
}

/// `hatchway`, as somebody who has a token, or none.
pub(crate) fn hatchway(words: &[&str], token: Option<&str>) -> Output {
    let mut command = Command::new(program_path("hatchway"));
    command.args(words).env_remove("HATCHWAY_ADMIN").env_remove("HATCHWAY_TOKEN");
    command.envs(token.map(|token| ("HATCHWAY_TOKEN", token)));
    command.output().expect("the program starts")
}

/// A new token, in a file.
#[track_caller]
pub(crate) fn token(file: &Path, name: &str, role: &str) -> String {
    let path = file.display().to_string();
    let made = hatchway(&["token", "new", name, "--role", role, "--file", &path], None);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8_lossy(&made.stdout).trim().to_owned()
}
