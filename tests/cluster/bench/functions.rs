//! Five hundred functions that cost next to nothing, so that what is left in a figure is the way to them.

use std::fmt::Write as _;

use hatchway_tests::{Client, Project, eventually, program_path};

use super::NODES;
use crate::site::Site;

pub(crate) const FUNCTIONS: usize = 500;

/// Of each, as the manifest has it: what a sandbox is planned with until it is measured. It takes half a MiB.
const MEMORY_MIB: usize = 4;

/// Started in one go where there is little room: then no node has to end one for another, however full all of them are to be.
const AT_A_TIME: usize = 8;

/// Every function once on nodes that may use `memory_mib`, by every gateway: what is cold once is cold no more.
pub(crate) fn start(memory_mib: usize, gateways: usize) -> Site {
    let words = ["--memory-mib", &memory_mib.to_string()];
    let site = Site::told(project(), NODES, gateways, &words);
    let is_tight = memory_mib < 2 * MEMORY_MIB * FUNCTIONS / NODES;
    for (turn, gateway) in site.gateways.iter().enumerate() {
        let client = Client::new(gateway.address);
        for n in 0..FUNCTIONS {
            let answer = client.get(&path(n));
            assert_eq!(answer.status, 200, "f{n}: {}", answer.text());
            if is_tight && turn == 0 && n % AT_A_TIME == 0 {
                eventually("all are measured", || is_measured(&site).then_some(()));
            }
        }
    }
    site
}

pub(crate) fn path(function: usize) -> String {
    format!("/f{function}/64")
}

/// Whose path that is.
pub(crate) fn function(path: &str) -> Option<usize> {
    path.strip_prefix("/f")?.split('/').next()?.parse().ok()
}

fn project() -> Project {
    let mut manifest = String::new();
    for n in 0..FUNCTIONS {
        write!(
            manifest,
            "[function.f{n}]\nruntime = \"command\"\ncommand = [\"./server\"]\nmemory = \"{MEMORY_MIB}MiB\"\n\
             tmp = \"1MiB\"\nhttp = {{ path = \"/f{n}\" }}\nidle_timeout = \"600s\"\nconcurrency = 16\nmax = 4\n\n"
        )
        .expect("a string takes every write");
    }
    Project::new(&manifest).program("server", &program_path("hatchway-bench-function"))
}

fn is_measured(site: &Site) -> bool {
    let of = |host: &crate::site::Host| host.node.admin.sandboxes();
    site.hosts.iter().flat_map(of).all(|sandbox| sandbox.memory_bytes.is_some())
}

/// A function of each node, by its number.
pub(crate) fn one_of_each_node(site: &Site) -> Vec<usize> {
    let number = |name: &str| name.strip_prefix("local/f")?.parse().ok();
    let first = |host: &crate::site::Host| {
        host.node.admin.sandboxes().iter().find_map(|one| number(&one.function))
    };
    site.hosts.iter().map(|host| first(host).expect("every node has functions")).collect()
}
