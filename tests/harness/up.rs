//! `hatchway up`, as a user starts it.

use std::net::SocketAddr;
use std::ops::Deref;

use rustix::process::Signal;

use crate::audit::Traces;
use crate::{Admin, Client, Output, Program, Project, Raw};

/// A running `hatchway up` over one project. Stopped and audited when dropped.
#[derive(Debug)]
pub struct Up {
    program: Program,
    traces: Traces,
    client: Client,
    is_stopped: bool,
    /// Where functions are served.
    pub address: SocketAddr,
    /// Its admin port.
    pub admin: Admin,
}

impl Deref for Up {
    type Target = Client;

    /// Calls go to the functions.
    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Up {
    /// Starts, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready, or something of an earlier one is left.
    #[track_caller]
    pub fn start(project: &Project) -> Self {
        Self::start_with(project, &[])
    }

    /// As [`start`](Self::start), with more arguments.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[track_caller]
    pub fn start_with(project: &Project, arguments: &[&str]) -> Self {
        Traces::of(project).assert_none("before the start");
        Self::launch(project, arguments)
    }

    /// Starts where one was killed: what that left is this one's to clear.
    ///
    /// # Panics
    /// When it does not become ready.
    #[track_caller]
    pub fn start_again(project: &Project) -> Self {
        Self::launch(project, &[])
    }

    #[track_caller]
    fn launch(project: &Project, arguments: &[&str]) -> Self {
        let mut traces = Traces::of(project);
        let program = launch(project, arguments);
        let address = |line: &str, name: &str| {
            let rest = line.strip_prefix(name)?.trim_start().strip_prefix("http://")?;
            rest.parse::<SocketAddr>().ok()
        };
        let admin = program.output.wait("the admin address", |line| address(line, "admin "));
        program.output.wait("ready", |line| (line == "ready").then_some(()));
        let admin = Admin::new(admin);
        let listen = admin.status()["listen"].as_str().and_then(|listen| listen.parse().ok());
        let address: SocketAddr = listen.expect("the status says where functions are served");
        traces.listens_on(address.port());
        traces.listens_on(admin.address.port());
        let client = Client::new(address);
        Self { program, traces, client, is_stopped: false, address, admin }
    }

    /// Starts one that is expected to end by itself; its exit code and its output.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn refused(project: &Project, arguments: &[&str]) -> (Option<i32>, Output) {
        let mut program = launch(project, arguments);
        let status = program.wait();
        (status.code(), program.output.clone())
    }

    /// What it prints.
    pub fn output(&self) -> &Output {
        &self.program.output
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// A connection to the functions.
    pub fn raw(&self) -> Raw {
        Raw::connect(self.address)
    }

    /// A client with connections of its own.
    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Ctrl-C; comes back at once.
    pub fn interrupt(&self) {
        self.program.signal(Signal::INT);
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
        self.traces.assert_none("after the end");
    }

    /// Waits for an end that was asked for by [`interrupt`](Self::interrupt); its exit code.
    ///
    /// # Panics
    /// When it does not end, or leaves anything behind.
    #[track_caller]
    pub fn wait(mut self) -> Option<i32> {
        self.is_stopped = true;
        let status = self.program.wait();
        self.traces.assert_none("after the end");
        status.code()
    }

    /// Kill -9: what it leaves is for the next start.
    ///
    /// # Panics
    /// When it does not end.
    pub fn kill(mut self) -> Traces {
        self.is_stopped = true;
        self.traces.look(self.program.pid());
        self.program.signal(Signal::KILL);
        self.program.wait();
        self.traces.clone()
    }

    /// Everything of it that is there now: what an audit would find.
    pub fn traces(&mut self) -> &Traces {
        self.traces.look(self.program.pid());
        &self.traces
    }
}

fn launch(project: &Project, arguments: &[&str]) -> Program {
    let paths = [project.folder(), project.state()].map(|path| path.display().to_string());
    let mut all = vec!["up", &paths[0], "--state", &paths[1]];
    for (option, default) in
        [("--listen", "127.0.0.1:0"), ("--admin", "127.0.0.1:0"), ("--cores", "1")]
    {
        if !arguments.contains(&option) {
            all.extend([option, default]);
        }
    }
    all.extend(arguments);
    let all: Vec<_> = all.into_iter().map(str::to_owned).collect();
    Program::start("hatchway", &all, &project.temporary())
}

impl Drop for Up {
    fn drop(&mut self) {
        if !self.is_stopped && !std::thread::panicking() {
            self.end();
        }
    }
}
