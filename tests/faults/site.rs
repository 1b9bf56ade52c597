//! A cluster of machines: an etcd, nodes and gateways, each on a host of its own.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use hatchway_tests::hosts::{Host, Network};
use hatchway_tests::{
    Authority, Etcd, GATEWAY, GatewayProgram, NODE, NodeProgram, Project, apply_to, eventually,
};

use crate::book::{Book, Writer};
use crate::caller::{Caller, Outcome};
use crate::clock::Clock;

/// What the function's calls are recorded by.
const RECORD: &str = include_str!("../functions/record.py");

/// Where nodes listen.
const NODE_PORT: u16 = 8090;

/// The cluster. What ends first stands first.
#[derive(Debug)]
pub(crate) struct Site<'n> {
    pub(crate) gateways: Vec<Machine<GatewayProgram>>,
    pub(crate) nodes: Vec<Machine<NodeProgram>>,
    pub(crate) etcd: Etcd,
    pub(crate) etcd_host: Host,
    pub(crate) network: &'n mut Network,
    pub(crate) book: Book,
    writers: Vec<Writer>,
    authority: Authority,
    project: Project,
    calls: AtomicU64,
}

/// A host with one of our programs.
#[derive(Debug)]
pub(crate) struct Machine<P> {
    pub(crate) name: String,
    pub(crate) host: Host,
    /// None while it is down.
    pub(crate) program: Option<P>,
    /// Its wall clock, where there is libfaketime.
    pub(crate) clock: Option<Clock>,
    /// What is its own on disk. Behind the program: it goes when that has ended.
    project: Project,
}

impl<P> Machine<P> {
    fn new(name: String, host: Host, project: Project) -> Self {
        let clock = Clock::in_folder(project.root());
        Self { name, host, program: None, clock, project }
    }

    fn environment(&self) -> Vec<(String, String)> {
        self.clock.as_ref().map(Clock::environment).unwrap_or_default()
    }

    /// Sets its wall clock, where there is libfaketime: off by so many seconds.
    pub(crate) fn set_clock(&self, seconds: i64) {
        if let Some(clock) = &self.clock {
            clock.set(seconds);
        }
    }

    /// What runs there.
    #[track_caller]
    pub(crate) fn program(&self) -> &P {
        self.program.as_ref().expect("it runs")
    }
}

impl<'n> Site<'n> {
    /// Functions at `/f0`, `/f1` and so on. Every gateway has a link to every node.
    #[track_caller]
    pub(crate) fn start(
        network: &'n mut Network,
        functions: Range<usize>,
        nodes: usize,
        gateways: usize,
    ) -> Self {
        let function = |n| {
            format!(
                "[function.f{n}]\nruntime = \"python\"\nhandler = \"record.py#record\"\nmemory = \"64MiB\"\n\
                 network = \"open\"\nconcurrency = 8\nhttp = {{ path = \"/f{n}\" }}\n"
            )
        };
        let manifest: String = functions.map(function).collect();
        let project = Project::new(&manifest).file("record.py", RECORD);
        let authority = Authority::new();
        authority.issue("gateway", GATEWAY);
        authority.issue("node", NODE);
        let etcd_host = network.host();
        let mut site = Self {
            gateways: Vec::new(),
            nodes: Vec::new(),
            etcd: Etcd::start_on(&etcd_host),
            etcd_host,
            network,
            book: Book::default(),
            writers: Vec::new(),
            authority,
            project,
            calls: AtomicU64::new(1),
        };
        apply_to(&site.project, &site.rules());
        for n in 0..nodes {
            let host = site.network.host();
            site.add_node(&format!("node-{n}"), host);
        }
        for n in 0..gateways {
            let host = site.network.host();
            let project = Project::over(&site.project.folder());
            site.gateways.push(Machine::new(format!("gateway-{n}"), host, project));
            site.start_gateway(n);
        }
        site
    }

    fn rules(&self) -> [String; 2] {
        ["--etcd".to_owned(), self.etcd.url()]
    }

    /// One more node.
    #[track_caller]
    pub(crate) fn add_node(&mut self, name: &str, host: Host) {
        if !self.nodes.iter().any(|node| node.host.ip == host.ip) {
            self.writers.push(self.book.listen(&host, name));
        }
        let project = Project::over(&self.project.folder());
        self.nodes.push(Machine::new(name.to_owned(), host, project));
        self.start_node(self.nodes.len() - 1);
    }

    /// Starts a node where there is none, perhaps not for the first time.
    #[track_caller]
    pub(crate) fn start_node(&mut self, n: usize) {
        let node = &self.nodes[n];
        let words = ["--name", &node.name].map(str::to_owned);
        let words =
            [&self.rules()[..], &words, &self.authority.words("node", &self.authority)].concat();
        let listen = node.host.at(NODE_PORT).to_string();
        let start = || NodeProgram::start_as(&node.project, (&listen, &words), &node.environment());
        let program = node.host.within(start);
        self.nodes[n].program = Some(program);
        self.wait_for_node(n);
    }

    /// Starts a gateway where there is none, and waits until it has links to all nodes that run.
    #[track_caller]
    pub(crate) fn start_gateway(&mut self, n: usize) {
        let gateway = &self.gateways[n];
        let state = gateway.project.root().join("kept").display().to_string();
        let words = ["--name", &gateway.name, "--state", &state].map(str::to_owned);
        let tls = self.authority.words("gateway", &self.authority);
        let words = [&self.rules()[..], &words, &tls].concat();
        let listen = gateway.host.at(8080).to_string();
        let environment = gateway.environment();
        let start = || GatewayProgram::start_as(&gateway.project, (&listen, &words), &environment);
        let program = gateway.host.within(start);
        self.gateways[n].program = Some(program);
        for n in (0..self.nodes.len()).filter(|n| self.nodes[*n].program.is_some()) {
            self.wait_for_node(n);
        }
    }

    /// Waits until every gateway that runs has a link to a node.
    #[track_caller]
    pub(crate) fn wait_for_node(&self, n: usize) {
        let name = &self.nodes[n].name;
        for gateway in self.gateways.iter().filter(|gateway| gateway.program.is_some()) {
            eventually(&format!("{name} is up at {}", gateway.name), || {
                (gateway.state_of(name)? == "up").then_some(())
            });
        }
    }

    /// A number for a call, which no other has.
    pub(crate) fn number(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed)
    }

    /// Calls a function by the first gateway; the call's number, and what became of it.
    pub(crate) fn call(&self, function: usize, ms: u64) -> (u64, Outcome) {
        self.call_by(0, function, ms)
    }

    /// The same, by any gateway.
    pub(crate) fn call_by(&self, gateway: usize, function: usize, ms: u64) -> (u64, Outcome) {
        let call = self.number();
        let mut caller = Caller::new(self.gateways[gateway].host.at(8080));
        (call, caller.call(function, call, ms))
    }

    /// The node that has run a call, which was served.
    #[track_caller]
    pub(crate) fn home(&self, function: usize) -> usize {
        let (call, outcome) = self.call(function, 0);
        assert_eq!(outcome, Outcome::Served);
        let [by] = &self.book.of(call)[..] else { panic!("call {call} was not run once") };
        self.nodes.iter().position(|node| node.name == *by).expect("it is one of ours")
    }
}

impl Machine<GatewayProgram> {
    /// How it sees a node; none while it does not know of it.
    pub(crate) fn state_of(&self, node: &str) -> Option<String> {
        let status = self.host.within(|| self.program().admin.status());
        let nodes = status["nodes"].as_array()?;
        let known = nodes.iter().find(|known| known["name"] == node)?;
        known["state"].as_str().map(str::to_owned)
    }
}

impl Drop for Site<'_> {
    /// On their own hosts, where an audit sees what they leave.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        for gateway in &mut self.gateways {
            if let Some(program) = gateway.program.take() {
                gateway.host.within(|| program.stop());
            }
        }
        for node in &mut self.nodes {
            if let Some(program) = node.program.take() {
                node.host.within(|| program.stop());
            }
        }
    }
}
