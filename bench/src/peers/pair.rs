//! `hatchway-gateway` and `hatchway-node`, joined by a Unix socket and a catalog file.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::hatchway::{pin_functions, sandboxes, write_project};
use super::{Running, Site, free_address};
use crate::child::{Child, output_of};
use crate::error::{BenchError, During as _, Result};
use crate::load::get;
use crate::process::Tree;

/// Routes of the large table, each with a host of its own: `h0.example` and on.
pub(crate) const ROUTES: usize = 100_000;

/// The two programs, ready to be started, the node first.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) node: Command,
    pub(crate) gateway: Command,
    /// Where the gateway will serve.
    pub(crate) address: SocketAddr,
    /// Of the node.
    pub(crate) admin: SocketAddr,
}

impl Plan {
    /// A project with one function behind every path, and `routes` more routes to it by host.
    pub(crate) fn make(site: &Site, routes: usize) -> Result<Self> {
        let project = write_project(site)?;
        let catalog = site.dir.join("catalog.json");
        let mut apply = Command::new(site.programs.join("hatchway"));
        output_of(apply.arg("apply").arg(project).arg("--catalog").arg(&catalog))?;
        add_routes(&catalog, routes)?;

        let (address, admin) = (free_address()?, free_address()?);
        // In a folder that belongs to whom the node becomes: it removes the socket at its end.
        let state = site.dir.join("state");
        let socket = format!("unix:{}", state.join("node.sock").display());
        let common = |program: &str, listen: &str, admin: SocketAddr| {
            let mut command = Command::new(site.programs.join(program));
            command.arg("--catalog").arg(&catalog).args(["--cores", "1", "--listen", listen]);
            command.args(["--admin", &admin.to_string()]);
            command
        };
        let mut node = common("hatchway-node", &socket, admin);
        node.args(["--isolation", "best-effort"]).arg("--state").arg(&state);
        node.arg("--packages").arg(&site.dir);
        let mut gateway = common("hatchway-gateway", &address.to_string(), free_address()?);
        gateway.args(["--node", &socket]);
        Ok(Self { node, gateway, address, admin })
    }
}

/// All to the one function: what differs from the small table is the table.
fn add_routes(catalog: &Path, routes: usize) -> Result<()> {
    let text = fs::read_to_string(catalog).at("read", catalog)?;
    let unexpected = || BenchError::Unexpected { what: "the catalog", text: text.clone() };
    let mut objects: serde_json::Value = serde_json::from_str(&text).map_err(|_| unexpected())?;
    let table = objects["routes"].as_object_mut().ok_or_else(unexpected)?;
    let pattern = table.values().next().ok_or_else(unexpected)?.clone();
    for index in 0..routes {
        let mut route = pattern.clone();
        route["host"] = json!(format!("h{index}.example"));
        table.insert(format!("r{index}"), route);
    }
    fs::write(catalog, objects.to_string()).at("write", catalog)
}

/// Both on the gateway's core, and both are charged.
pub(super) fn start(site: &Site, routes: usize) -> Result<Running> {
    let Plan { node, gateway, address, admin } = Plan::make(site, routes)?;
    let cpu = site.cores.gateway;
    let mut node = Child::start("hatchway-node", cpu, node, &site.dir)?;
    node.wait_until(|| TcpStream::connect(admin).is_ok())?;
    let mut gateway = Child::start("hatchway-gateway", cpu, gateway, &site.dir)?;
    gateway.wait_until(|| TcpStream::connect(address).is_ok())?;
    let answer = get(address, "/ok")?;
    if answer.status != 200 {
        return Err(BenchError::Unexpected { what: "the first answer", text: answer.body });
    }
    let sandboxes = sandboxes(admin)?;
    pin_functions(&sandboxes, site)?;
    let charged = Tree {
        roots: vec![gateway.pid(), node.pid()],
        except: sandboxes.iter().map(|sandbox| sandbox.pid).collect(),
    };
    Ok(Running { address, charged, _children: vec![gateway, node] })
}
