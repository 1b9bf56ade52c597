//! A cluster on one machine: an etcd, nodes with folders of their own, gateways that find them there.

use std::process::Command;

use hatchway_tests::{
    Etcd, GatewayProgram, NodeProgram, PUPPET, Project, apply_to, eventually, program_path, puppet,
};

/// A node, and what is its own.
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) node: NodeProgram,
    /// What it was told.
    words: Vec<String>,
    // Behind the node: its folders go when it has ended.
    project: Project,
}

/// The cluster. What ends first stands first.
pub(crate) struct Site {
    pub(crate) gateways: Vec<GatewayProgram>,
    pub(crate) hosts: Vec<Host>,
    started: usize,
    /// What nodes are told beside.
    words: Vec<String>,
    pub(crate) project: Project,
    pub(crate) etcd: Etcd,
}

impl Site {
    /// Nodes and gateways over `functions` puppets at `/f0`, `/f1` and so on. Every gateway sees every node.
    #[track_caller]
    pub(crate) fn start(functions: usize, nodes: usize, gateways: usize) -> Self {
        let manifest: String =
            (0..functions).map(|n| puppet(&format!("f{n}"), "memory = \"64MiB\"")).collect();
        Self::over(Project::new(&manifest).file("puppet.mjs", PUPPET), nodes, gateways)
    }

    /// The same over the functions of a project.
    #[track_caller]
    pub(crate) fn over(project: Project, nodes: usize, gateways: usize) -> Self {
        Self::told(project, nodes, gateways, &[])
    }

    /// The same with nodes that are told more.
    #[track_caller]
    pub(crate) fn told(project: Project, nodes: usize, gateways: usize, words: &[&str]) -> Self {
        let mut site = Self {
            gateways: Vec::new(),
            hosts: Vec::new(),
            started: 0,
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            project,
            etcd: Etcd::start(),
        };
        apply_to(&site.project, &site.rules());
        (0..nodes).for_each(|_| site.add_node());
        for _ in 0..gateways {
            let gateway = site.gateway(&[]);
            site.gateways.push(gateway);
        }
        site
    }

    pub(crate) fn rules(&self) -> [String; 2] {
        ["--etcd".to_owned(), self.etcd.url()]
    }

    /// One more node; all gateways have a link to it when this returns.
    #[track_caller]
    pub(crate) fn add_node(&mut self) {
        self.add_node_with(&[]);
    }

    /// The same, and it is told `more`.
    #[track_caller]
    pub(crate) fn add_node_with(&mut self, more: &[&str]) {
        let project = Project::over(&self.project.folder());
        let name = format!("node-{}", self.started);
        self.started += 1;
        let zone = format!("zone=z{}", self.started % 2);
        let words = [&["--name", &name, "--label", &zone], more].concat();
        let words = words.into_iter().map(str::to_owned);
        let words: Vec<_> = self.rules().into_iter().chain(words).collect();
        let words = [&words[..], &self.words].concat();
        let node = NodeProgram::start_with(&project, &words);
        self.hosts.push(Host { name: name.clone(), node, words, project });
        for gateway in &self.gateways {
            eventually(&name, || (state(gateway, &name)? == "up").then_some(()));
        }
    }

    /// Kills a node, and starts it again over what it has left.
    #[track_caller]
    pub(crate) fn restart_node(&mut self, index: usize) {
        let Host { name, node, words, project } = self.hosts.remove(index);
        node.kill();
        let node = NodeProgram::start_with(&project, &words);
        self.hosts.insert(index, Host { name, node, words, project });
    }

    /// A gateway that is told `more`, once it has a link to every node.
    #[track_caller]
    pub(crate) fn gateway(&self, more: &[&str]) -> GatewayProgram {
        let more = more.iter().map(|word| (*word).to_owned());
        let words: Vec<_> = self.rules().into_iter().chain(more).collect();
        let gateway = GatewayProgram::start_alone(&self.project, &words);
        for host in &self.hosts {
            eventually(&host.name, || (state(&gateway, &host.name)? == "up").then_some(()));
        }
        gateway
    }

    /// How many nodes have a sandbox of each of the first `functions`.
    pub(crate) fn nodes_of(&self, functions: usize) -> Vec<usize> {
        let sandboxes: Vec<_> = self.hosts.iter().map(|host| host.node.admin.sandboxes()).collect();
        let has = |all: &[hatchway_tests::Sandbox], name: &str| {
            all.iter().any(|sandbox| sandbox.function == name)
        };
        let of = |n| {
            let name = format!("local/f{n}");
            sandboxes.iter().filter(|all| has(all, &name)).count()
        };
        (0..functions).map(of).collect()
    }
}

/// How a gateway sees a node; none while it does not know of it.
pub(crate) fn state(gateway: &GatewayProgram, node: &str) -> Option<String> {
    let status = gateway.admin.status();
    let nodes = status["nodes"].as_array()?;
    let known = nodes.iter().find(|known| known["name"] == node)?;
    known["state"].as_str().map(str::to_owned)
}

/// The word of `hatchway status --etcd`.
pub(crate) fn status(site: &Site) -> String {
    let mut command = Command::new(program_path("hatchway"));
    let output = command.arg("status").args(site.rules()).output().expect("the program starts");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
