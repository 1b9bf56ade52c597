//! What is started for a group of cases: our programs under callgrind, a real sandbox with the function behind
//! them.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, setpriority_process};
use serde_json::json;

use super::callgrind::Counted;
use crate::child::output_of;
use crate::error::{BenchError, During as _, Result};
use crate::load::get;
use crate::peers::{MANIFEST, Site, free_address};
use crate::process::threads;

/// Routes of [`Group::Routes`], each with a host of its own.
const ROUTES: usize = 100_000;

/// Cases that share their programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// `hatchway up`.
    Up,
    /// `hatchway-gateway` and `hatchway-node`, joined by a Unix socket.
    Pair,
    /// The same with a large table.
    Routes,
}

pub(crate) const ALL: [Group; 3] = [Group::Up, Group::Pair, Group::Routes];

/// Programs that serve, and are counted.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) address: SocketAddr,
    pub(crate) counted: Vec<Counted>,
}

/// The host of a request; neighbours in time are not neighbours in the table.
pub(crate) fn host(index: usize) -> String {
    format!("h{}.example", index * 7919 % ROUTES)
}

impl Group {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Up => "hatchway up",
            Self::Pair => "hatchway-gateway and hatchway-node",
            Self::Routes => "hatchway-gateway with 100,000 routes, and hatchway-node",
        }
    }

    /// Starts the programs and counts from their first answer on.
    pub(crate) fn start(self, site: &Site) -> Result<Stage> {
        let project = write_project(site)?;
        let stage = match self {
            Self::Up => up(site, &project)?,
            Self::Pair => pair(site, &project, 0)?,
            Self::Routes => pair(site, &project, ROUTES)?,
        };
        let answer = get(stage.address, "/ok")?;
        if answer.status != 200 {
            return Err(BenchError::Unexpected { what: "the first answer", text: answer.body });
        }
        for program in &stage.counted {
            give_way(program)?;
            program.count()?;
        }
        Ok(stage)
    }
}

/// Lowers the priority of a program under count, once its sandbox runs. Client and function then go first, and what
/// they have for it is there when it looks: as under load, and as often in every run.
fn give_way(program: &Counted) -> Result<()> {
    const LEAST: i32 = 19;
    for thread in threads(program.pid()) {
        let thread = i32::try_from(thread).ok().and_then(Pid::from_raw);
        setpriority_process(thread, LEAST).during("lower a priority")?;
    }
    Ok(())
}

fn write_project(site: &Site) -> Result<PathBuf> {
    let project = site.dir.join("project");
    fs::create_dir_all(&project).at("create", &project)?;
    fs::write(project.join("hatchway.toml"), MANIFEST).at("write a manifest in", &project)?;
    fs::copy(&site.function, project.join("server")).at("copy", &site.function)?;
    Ok(project)
}

/// Root stays root by name, without its powers: callgrind writes to our folder under the program's name.
fn keep_name(command: &mut Command) {
    if rustix::process::getuid().is_root() {
        command.args(["--user", "root"]);
    }
}

fn listens(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok()
}

fn up(site: &Site, project: &Path) -> Result<Stage> {
    let (address, admin) = (free_address()?, free_address()?);
    let mut command = Command::new(site.programs.join("hatchway"));
    command.arg("up").arg(project).args(["--cores", "1", "--listen", &address.to_string()]);
    command.args(["--admin", &admin.to_string()]).arg("--state").arg(site.dir.join("state"));
    keep_name(&mut command);
    let mut program = Counted::start("hatchway", &command, &site.dir)?;
    program.wait_until(|| listens(address))?;
    Ok(Stage { address, counted: vec![program] })
}

fn pair(site: &Site, project: &Path, routes: usize) -> Result<Stage> {
    let catalog = site.dir.join("catalog.json");
    let mut apply = Command::new(site.programs.join("hatchway"));
    output_of(apply.arg("apply").arg(project).arg("--catalog").arg(&catalog))?;
    add_routes(&catalog, routes)?;

    let (address, admins) = (free_address()?, [free_address()?, free_address()?]);
    // In a folder that belongs to whom the node becomes: it removes the socket at its end.
    let state = site.dir.join("state");
    let socket = format!("unix:{}", state.join("node.sock").display());
    let common = |program: &str, listen: &str, admin: SocketAddr| {
        let mut command = Command::new(site.programs.join(program));
        command.arg("--catalog").arg(&catalog).args(["--cores", "1", "--listen", listen]);
        command.args(["--admin", &admin.to_string()]);
        command
    };
    let mut command = common("hatchway-node", &socket, admins[0]);
    command.args(["--isolation", "best-effort"]).arg("--state").arg(&state);
    keep_name(&mut command);
    let mut node = Counted::start("hatchway-node", &command, &site.dir)?;
    node.wait_until(|| listens(admins[0]))?;

    let mut command = common("hatchway-gateway", &address.to_string(), admins[1]);
    command.args(["--node", &socket]);
    let mut gateway = Counted::start("hatchway-gateway", &command, &site.dir)?;
    gateway.wait_until(|| listens(address))?;
    Ok(Stage { address, counted: vec![gateway, node] })
}

/// Routes by host, all to the one function: what differs from the small table is the table.
fn add_routes(catalog: &Path, routes: usize) -> Result<()> {
    let text = fs::read_to_string(catalog).at("read", catalog)?;
    let unexpected = || BenchError::Unexpected { what: "the catalog", text: text.clone() };
    let mut objects: serde_json::Value = serde_json::from_str(&text).map_err(|_| unexpected())?;
    let table = objects["routes"].as_object_mut().ok_or_else(unexpected)?;
    let function = table.values().next().ok_or_else(unexpected)?["function"].clone();
    for index in 0..routes {
        let route =
            json!({ "host": format!("h{index}.example"), "path": "/", "function": function });
        table.insert(format!("r{index}"), route);
    }
    fs::write(catalog, objects.to_string()).at("write", catalog)
}
