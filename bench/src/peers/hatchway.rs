//! `hatchway up` with a project made for the occasion.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::{Certificate, Running, Site, free_address};
use crate::cases::Front;
use crate::child::{Child, output_of};
use crate::error::{BenchError, During as _, Result};
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
    state: String,
}

impl Daemon {
    /// Serves the project in `project` from core `cpu`, or from all.
    pub(crate) fn start(site: &Site, project: &Path, cpu: Option<usize>) -> Result<Self> {
        Self::start_with(site, project, cpu, Front::Plain)
    }

    fn start_with(site: &Site, project: &Path, cpu: Option<usize>, front: Front) -> Result<Self> {
        let (plain, admin) = (free_address()?, free_address()?);
        let mut command = Command::new(program(site));
        command.arg("up").arg(project);
        command.args(["--listen", &plain.to_string(), "--admin", &admin.to_string()]);
        command.arg("--state").arg(site.dir.join("state"));
        let mut address = plain;
        if front.is_tls() {
            address = free_address()?;
            let pair = Certificate::of(site)?;
            command.args(["--tls-listen", &address.to_string()]);
            command.arg("--tls-cert").arg(pair.certificate).arg("--tls-key").arg(pair.key);
        }
        let mut child = Child::start("hatchway", cpu, command, &site.dir)?;
        child.wait_until(|| {
            TcpStream::connect(plain).is_ok() && TcpStream::connect(admin).is_ok()
        })?;
        Ok(Self { address, plain, admin, child })
    }

    pub(crate) fn sandboxes(&self) -> Result<Vec<Sandbox>> {
        sandboxes(self.admin)
    }

    /// True when nothing is being made that later starts could be forked from.
    pub(crate) fn is_warmed(&self) -> Result<bool> {
        let answer = get(self.admin, "/v1/zygotes")?;
        let zygotes: Vec<Zygote> = serde_json::from_str(&answer.body).map_err(|_| {
            BenchError::Unexpected { what: "the list of zygotes", text: answer.body }
        })?;
        Ok(zygotes.iter().all(|zygote| zygote.state != "making"))
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
    let daemon = Daemon::start_with(site, &project, Some(site.cores.gateway), front)?;
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
