//! A gateway and a node as processes of their own, joined by a Unix socket and a catalog file.

use std::net::SocketAddr;
use std::ops::Deref;
use std::process::Command;

use rustix::process::Signal;

use crate::audit::Traces;
use crate::{Admin, Client, Program, Project, Raw, proc, program_path};

/// A running `hatchway-node`. Stopped and audited when dropped.
#[derive(Debug)]
pub struct NodeProgram {
    program: Program,
    traces: Traces,
    is_stopped: bool,
    /// Where gateways connect.
    pub address: String,
    /// Its admin port.
    pub admin: Admin,
}

/// A running `hatchway-gateway`. Stopped when dropped.
#[derive(Debug)]
pub struct GatewayProgram {
    program: Program,
    is_stopped: bool,
    client: Client,
    /// Where functions are served.
    pub address: SocketAddr,
    /// Its admin port.
    pub admin: Admin,
}

/// Both; the gateway ends first, as it would on a machine that goes down.
#[derive(Debug)]
pub struct Pair {
    /// Level one.
    pub gateway: GatewayProgram,
    /// Level two.
    pub node: NodeProgram,
}

impl Pair {
    /// Writes the catalog of a project and serves it.
    ///
    /// # Panics
    /// When one of them does not become ready.
    #[track_caller]
    pub fn start(project: &Project) -> Self {
        apply(project);
        let node = NodeProgram::start(project);
        Self { gateway: GatewayProgram::start(project), node }
    }
}

/// `hatchway apply`: the project becomes the catalog.
///
/// # Panics
/// When it is refused.
#[track_caller]
pub fn apply(project: &Project) {
    apply_to(project, &in_file(project));
}

/// The same, to where `rules` says; the line that it prints.
///
/// # Panics
/// When it is refused.
#[track_caller]
pub fn apply_to(project: &Project, rules: &[String]) -> String {
    let mut command = Command::new(program_path("hatchway"));
    command.arg("apply").arg(project.folder()).args(rules);
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The words for rules in a file.
pub fn in_file(project: &Project) -> [String; 2] {
    ["--catalog".to_owned(), project.catalog().display().to_string()]
}

/// In a folder that belongs to whom the node becomes: it removes the socket at its end.
fn socket(project: &Project) -> String {
    format!("unix:{}", project.state().join("node.sock").display())
}

/// The address of a listener in the line that says `serving`, logged as JSON.
fn serving(program: &Program, field: &str) -> String {
    program.output.wait("the line that says serving", |line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        let fields = &line["fields"];
        (fields["message"] == "serving").then(|| fields[field].as_str().map(str::to_owned))?
    })
}

impl NodeProgram {
    /// Starts, and waits until it serves.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn start(project: &Project) -> Self {
        Traces::of(project).assert_none("before the start of the node");
        Self::start_again(project)
    }

    /// Starts where one was killed: what that left is this one's to clear.
    ///
    /// # Panics
    /// When it does not serve.
    #[track_caller]
    pub fn start_again(project: &Project) -> Self {
        Self::start_with(project, &in_file(project))
    }

    /// Starts with rules from where `rules` says.
    ///
    /// # Panics
    /// When it does not serve.
    #[track_caller]
    pub fn start_with(project: &Project, rules: &[String]) -> Self {
        Self::start_at(project, &socket(project), rules)
    }

    /// The same, with more in its environment.
    ///
    /// # Panics
    /// When it does not serve.
    #[track_caller]
    pub fn start_in(project: &Project, rules: &[String], environment: &[(String, String)]) -> Self {
        Self::start_as(project, (&socket(project), rules), environment)
    }

    /// Starts where it is told to listen, with `more` to be told: rules, for one.
    ///
    /// # Panics
    /// When it does not serve.
    #[track_caller]
    pub fn start_at(project: &Project, listen: &str, more: &[String]) -> Self {
        Self::start_as(project, (listen, more), &[])
    }

    /// Starts with all that can be said: where to listen and more words, and what stands in its environment.
    ///
    /// # Panics
    /// When it does not serve.
    #[track_caller]
    pub fn start_as(
        project: &Project,
        (listen, more): (&str, &[String]),
        environment: &[(String, String)],
    ) -> Self {
        let mut traces = Traces::of(project);
        let words = ["--listen", listen, "--state", &project.state().display().to_string()]
            .into_iter()
            .chain(["--admin", "127.0.0.1:0", "--isolation", "best-effort", "--cores", "1"])
            // Of this project and of any other whose rules it may be given.
            .chain(["--packages", &std::env::temp_dir().display().to_string()])
            .map(str::to_owned)
            .chain(more.iter().cloned())
            .collect::<Vec<_>>();
        let program = Program::start_in("hatchway-node", &words, &project.temporary(), environment);
        let address = serving(&program, "address");
        let admin = serving(&program, "admin").parse().expect("an address");
        let admin = Admin::new(admin);
        traces.listens_on(admin.address.port());
        Self { program, traces, is_stopped: false, address, admin }
    }

    /// Ctrl-C, then waits for the end.
    ///
    /// # Panics
    /// When it does not end well, or leaves anything behind.
    #[track_caller]
    pub fn stop(mut self) {
        self.end();
    }

    #[track_caller]
    fn end(&mut self) {
        self.is_stopped = true;
        self.traces.look(self.program.pid());
        self.program.signal(Signal::INT);
        let status = self.program.wait();
        assert!(status.success(), "{status} after Ctrl-C:\n{}", self.program.output);
        self.traces.assert_none("after the end of the node");
    }

    /// Kill -9: what it leaves is for the next start.
    ///
    /// # Panics
    /// When it does not end.
    pub fn kill(mut self) {
        self.is_stopped = true;
        self.program.signal(Signal::KILL);
        self.program.wait_alone();
    }

    /// Starts another one in its place, with `more` to be told, waits until that serves, and lets this one end in its own time.
    ///
    /// # Panics
    /// When the other one does not serve, or this one does not end well.
    #[track_caller]
    pub fn replace(mut self, project: &Project, more: &[String]) -> Self {
        let words = [&in_file(project)[..], &["--replace".to_owned()], more].concat();
        let next = Self::start_with(project, &words);
        self.is_stopped = true;
        let status = self.program.wait_alone();
        assert!(status.success(), "{status} after it was replaced:\n{}", self.program.output);
        next
    }

    /// Everything of it that is there now, and may be looked for after its end.
    pub fn traces(&mut self) -> Traces {
        self.traces.look(self.program.pid());
        self.traces.clone()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// Stops it in its tracks: connections stay, answers do not come.
    pub fn freeze(&self) {
        proc::freeze(self.program.pid());
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        proc::thaw(self.program.pid());
    }

    /// What it prints.
    pub fn output(&self) -> &crate::Output {
        &self.program.output
    }
}

impl Drop for NodeProgram {
    fn drop(&mut self) {
        if !self.is_stopped && !std::thread::panicking() {
            self.end();
        }
    }
}

impl Deref for GatewayProgram {
    type Target = Client;

    /// Calls go to the functions.
    fn deref(&self) -> &Client {
        &self.client
    }
}

impl GatewayProgram {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// Starts, and waits until it serves.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn start(project: &Project) -> Self {
        Self::start_with(project, &in_file(project))
    }

    /// Starts with rules from where `rules` says.
    ///
    /// # Panics
    /// When it does not serve.
    #[track_caller]
    pub fn start_with(project: &Project, rules: &[String]) -> Self {
        Self::start_to(project, &socket(project), rules)
    }

    /// Starts with a node where it is told to connect, and `more` to be told: rules, for one.
    ///
    /// # Panics
    /// When it does not serve.
    #[track_caller]
    pub fn start_to(project: &Project, node: &str, more: &[String]) -> Self {
        let node = ["--node".to_owned(), node.to_owned()];
        Self::start_alone(project, &[&node, more].concat())
    }

    /// Starts with all that it is told: where its nodes are, for one.
    ///
    /// # Panics
    /// When it does not serve.
    #[track_caller]
    pub fn start_alone(project: &Project, more: &[String]) -> Self {
        Self::start_as(project, ("127.0.0.1:0", more), &[])
    }

    /// Starts with all that can be said: where to listen and more words, and what stands in its environment.
    ///
    /// # Panics
    /// When it does not serve.
    #[track_caller]
    pub fn start_as(
        project: &Project,
        (listen, more): (&str, &[String]),
        environment: &[(String, String)],
    ) -> Self {
        let words = ["--cores", "1", "--listen", listen, "--admin", "127.0.0.1:0"]
            .map(str::to_owned)
            .into_iter()
            .chain(more.iter().cloned())
            .collect::<Vec<_>>();
        let temporary = project.temporary();
        let program = Program::start_in("hatchway-gateway", &words, &temporary, environment);
        let address = serving(&program, "address").parse().expect("an address");
        let admin = serving(&program, "admin").parse().expect("an address");
        let (client, admin) = (Client::new(address), Admin::new(admin));
        Self { program, is_stopped: false, client, address, admin }
    }

    /// Ctrl-C, then waits for the end.
    ///
    /// # Panics
    /// When it does not end well.
    #[track_caller]
    pub fn stop(mut self) {
        self.end();
    }

    #[track_caller]
    fn end(&mut self) {
        self.is_stopped = true;
        self.program.signal(Signal::INT);
        let status = self.program.wait();
        assert!(status.success(), "{status} after Ctrl-C:\n{}", self.program.output);
    }

    /// Kill -9.
    ///
    /// # Panics
    /// When it does not end.
    pub fn kill(mut self) {
        self.is_stopped = true;
        self.program.signal(Signal::KILL);
        self.program.wait();
    }

    /// A connection to the functions.
    pub fn raw(&self) -> Raw {
        Raw::connect(self.address)
    }

    /// What it prints.
    pub fn output(&self) -> &crate::Output {
        &self.program.output
    }
}

impl Drop for GatewayProgram {
    fn drop(&mut self) {
        if !self.is_stopped && !std::thread::panicking() {
            self.end();
        }
    }
}
