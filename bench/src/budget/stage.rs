//! What is started for a group of cases: our programs under callgrind, a real sandbox with the function behind
//! them.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use rustix::process::{Pid, setpriority_process};

use super::callgrind::Counted;
use crate::error::{BenchError, During as _, Result};
use crate::load::get;
use crate::peers::{Plan, ROUTES, Site, free_address, write_project};
use crate::process::threads;

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
        let stage = match self {
            Self::Up => up(site)?,
            Self::Pair => pair(site, 0)?,
            Self::Routes => pair(site, ROUTES)?,
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

/// Root stays root by name, without its powers: callgrind writes to our folder under the program's name.
fn keep_name(command: &mut Command) {
    if rustix::process::getuid().is_root() {
        command.args(["--user", "root"]);
    }
}

fn listens(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok()
}

fn up(site: &Site) -> Result<Stage> {
    let project = write_project(site)?;
    let (address, admin) = (free_address()?, free_address()?);
    let mut command = Command::new(site.programs.join("hatchway"));
    command.arg("up").arg(project).args(["--cores", "1", "--listen", &address.to_string()]);
    command.args(["--admin", &admin.to_string()]).arg("--state").arg(site.dir.join("state"));
    keep_name(&mut command);
    let mut program = Counted::start("hatchway", &command, &site.dir)?;
    program.wait_until(|| listens(address))?;
    Ok(Stage { address, counted: vec![program] })
}

fn pair(site: &Site, routes: usize) -> Result<Stage> {
    let Plan { mut node, mut gateway, address, admin } = Plan::make(site, routes)?;
    // Most of what the process holds is callgrind's own.
    gateway.args(["--own-memory-mib", "65536"]);
    keep_name(&mut node);
    let mut node = Counted::start("hatchway-node", &node, &site.dir)?;
    node.wait_until(|| listens(admin))?;
    let mut gateway = Counted::start("hatchway-gateway", &gateway, &site.dir)?;
    // A program under count is slow to greet another: its link may take several attempts.
    gateway.wait_until(|| get(address, "/ok").is_ok_and(|answer| answer.status == 200))?;
    Ok(Stage { address, counted: vec![gateway, node] })
}
