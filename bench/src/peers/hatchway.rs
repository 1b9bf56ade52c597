//! `hatchway up` with a project made for the occasion.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use super::{Certificate, Running, Site, free_address};
use crate::child::{Child, output_of};
use crate::error::{BenchError, During as _, Result};
use crate::front::Front;
use crate::load::get;
use crate::process::Tree;

/// One sandbox that takes whatever comes, and is not reaped while we look.
const MANIFEST: &str = r#"
[function.bench]
runtime = "command"
command = ["./server"]
http = { path = "/" }
memory = "256MiB"
cpu = "4000m"
concurrency = 1024
min = 1
max = 1
idle_timeout = "3600s"
"#;

/// What a daemon may take until it serves.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running `hatchway up`.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) address: SocketAddr,
    /// The same, where that is for clients with TLS.
    plain: SocketAddr,
    admin: SocketAddr,
    child: Child,
}

/// What the admin port says of a sandbox; more fields are there.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Sandbox {
    function: String,
    pub(crate) pid: u32,
    /// As its cgroup counts: the page cache it has touched first is in it.
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) start: Option<Start>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Start {
    /// What it was started from.
    #[serde(default)]
    pub(crate) kind: String,
    pub(crate) total_ms: f64,
    #[serde(default)]
    pub(crate) phases: std::collections::BTreeMap<String, f64>,
}

/// What functions are forked from; more fields are there.
#[derive(Debug, Deserialize)]
struct Zygote {
    function: String,
    state: String,
}

impl Sandbox {
    /// Whether its function's name begins so.
    pub(crate) fn is_of(&self, functions: &str) -> bool {
        self.function.starts_with(functions)
    }
}

impl Daemon {
    /// Serves the project in `project` with so much memory for its sandboxes.
    pub(crate) fn start_within(site: &Site, project: &Path, memory_mib: u64) -> Result<Self> {
        let memory = ["--memory-mib".to_owned(), memory_mib.to_string()];
        Self::start_with(site, project, None, Front::Plain, &memory)
    }

    /// Serves the project in `project` from core `cpu`, or from all.
    pub(crate) fn start(site: &Site, project: &Path, cpu: Option<usize>) -> Result<Self> {
        Self::start_with(site, project, cpu, Front::Plain, &[])
    }

    fn start_with(
        site: &Site,
        project: &Path,
        cpu: Option<usize>,
        front: Front,
        more: &[String],
    ) -> Result<Self> {
        let (plain, admin) = (free_address()?, free_address()?);
        let mut command = Command::new(program(site));
        command.arg("up").arg(project);
        command.args(["--listen", &plain.to_string(), "--admin", &admin.to_string()]);
        command.arg("--state").arg(site.dir.join("state")).args(more);
        let mut address = plain;
        if front.is_tls() {
            address = free_address()?;
            let pair = Certificate::of(site)?;
            command.args(["--tls-listen", &address.to_string()]);
            command.arg("--tls-cert").arg(pair.certificate).arg("--tls-key").arg(pair.key);
        }
        let mut child = Child::start("hatchway", cpu, command, &site.dir)?;
        // Thousands of packages are read first.
        child.wait_within(START_LIMIT, || {
            TcpStream::connect(plain).is_ok() && TcpStream::connect(admin).is_ok()
        })?;
        Ok(Self { address, plain, admin, child })
    }

    pub(crate) fn sandboxes(&self) -> Result<Vec<Sandbox>> {
        sandboxes(self.admin)
    }

    /// True when nothing is being made that later starts could be forked from.
    pub(crate) fn is_warmed(&self) -> Result<bool> {
        Ok(self.zygotes()?.iter().all(|zygote| zygote.state != "making"))
    }

    /// True when a runtime has booted that the next first start of it can be made in.
    pub(crate) fn is_stocked(&self, runtime: &str) -> Result<bool> {
        let (wanted, answer) = (format!("runtime=\"{runtime}\""), get(self.admin, "/metrics")?);
        let mut cells = answer.body.lines().filter(|line| line.starts_with("node_stem_cells{"));
        Ok(cells.any(|line| line.contains(&wanted) && !line.ends_with(" 0")))
    }

    /// True when the next start of a function is a fork.
    pub(crate) fn is_forkable(&self, function: &str) -> Result<bool> {
        let is_it = |zygote: &Zygote| zygote.function == function && zygote.state == "ready";
        Ok(self.zygotes()?.iter().any(is_it))
    }

    fn zygotes(&self) -> Result<Vec<Zygote>> {
        let answer = get(self.admin, "/v1/zygotes")?;
        serde_json::from_str(&answer.body)
            .map_err(|_| BenchError::Unexpected { what: "the list of zygotes", text: answer.body })
    }

    /// Kills the sandbox of a function, and sees that it is gone.
    pub(crate) fn end_sandbox_of(&self, function: &str) -> Result<()> {
        let pid = |all: Vec<Sandbox>| {
            all.iter().find(|sandbox| sandbox.function == function).map(|sandbox| sandbox.pid)
        };
        let Some(first) = pid(self.sandboxes()?) else { return Ok(()) };
        if let Some(process) = i32::try_from(first).ok().and_then(Pid::from_raw) {
            kill_process(process, Signal::KILL).during("end a sandbox")?;
        }
        while pid(self.sandboxes()?) == Some(first) {
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// The daemon and its helpers, without the functions.
    pub(crate) fn charged(&self, sandboxes: &[Sandbox]) -> Tree {
        let except = sandboxes.iter().map(|sandbox| sandbox.pid).collect();
        Tree { roots: vec![self.child.pid()], except }
    }
}

/// What the admin port of a node says of its sandboxes.
pub(super) fn sandboxes(admin: SocketAddr) -> Result<Vec<Sandbox>> {
    let answer = get(admin, "/v1/sandboxes")?;
    serde_json::from_str(&answer.body)
        .map_err(|_| BenchError::Unexpected { what: "the list of sandboxes", text: answer.body })
}

/// Like every other gateway's function: on the core of the load.
pub(super) fn pin_functions(sandboxes: &[Sandbox], site: &Site) -> Result<()> {
    sandboxes.iter().try_for_each(|sandbox| Tree::of(sandbox.pid).pin(site.cores.load))
}

/// One function behind every path.
pub(crate) fn write_project(site: &Site) -> Result<PathBuf> {
    let project = site.dir.join("project");
    fs::create_dir_all(&project).at("create", &project)?;
    fs::write(project.join("hatchway.toml"), MANIFEST).at("write a manifest in", &project)?;
    fs::copy(&site.function, project.join("server")).at("copy", &site.function)?;
    Ok(project)
}

pub(super) fn start(site: &Site, front: Front) -> Result<Running> {
    let project = write_project(site)?;
    let daemon = Daemon::start_with(site, &project, Some(site.cores.gateway), front, &[])?;
    let answer = get(daemon.plain, "/ok")?;
    if answer.status != 200 {
        return Err(BenchError::Unexpected { what: "the first answer", text: answer.body });
    }
    let sandboxes = daemon.sandboxes()?;
    pin_functions(&sandboxes, site)?;
    let charged = daemon.charged(&sandboxes);
    Ok(Running { address: daemon.address, charged, _children: vec![daemon.child] })
}

fn program(site: &Site) -> PathBuf {
    site.programs.join("hatchway")
}

pub(super) fn version(site: &Site) -> Result<String> {
    if !program(site).is_file() {
        return Err(BenchError::NotInstalled { program: program(site).display().to_string() });
    }
    let said = output_of(Command::new(program(site)).arg("--version"))?;
    Ok(said.split_whitespace().last().unwrap_or_default().to_owned())
}
