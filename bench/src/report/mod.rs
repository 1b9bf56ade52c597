//! The same figures three times: a table to read, JSON to compare, a drawing to show.

mod chart;
mod table;

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cold::ColdFigures;
use crate::error::{During as _, Result};
use crate::idle::IdleFigures;
use crate::machine::Machine;
use crate::peers::Peer;
use crate::rounds::CaseFigures;

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) command: String,
    pub(crate) rounds: u32,
    pub(crate) seconds: u64,
    pub(crate) versions: Vec<Version>,
    pub(crate) cases: Vec<CaseFigures>,
    pub(crate) idle: Vec<IdleFigures>,
    pub(crate) cold: Vec<ColdFigures>,
    /// What could not be measured, and why.
    pub(crate) missing: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Version {
    pub(crate) peer: Peer,
    pub(crate) version: String,
}

impl Report {
    pub(crate) fn print(&self) {
        println!("{}", self.machine.line());
        let versions = self.versions.iter().filter(|known| !known.version.is_empty());
        let versions: Vec<String> =
            versions.map(|known| format!("{} {}", known.peer.name(), known.version)).collect();
        println!("{}; {} rounds of {} s\n", versions.join(", "), self.rounds, self.seconds);
        for case in &self.cases {
            println!("{}\n{}\n", case.label, table::case(case));
            print_added(case);
        }
        if !self.idle.is_empty() {
            println!("Idle connections\n{}\n", table::idle(&self.idle));
        }
        if !self.cold.is_empty() {
            println!("Cold starts\n{}\n", table::cold(&self.cold));
        }
        for missing in &self.missing {
            println!("not measured: {missing}");
        }
    }

    /// Writes `figures.json` and `figures.svg`, and returns their paths.
    pub(crate) fn write(&self, folder: &Path) -> Result<[PathBuf; 2]> {
        fs::create_dir_all(folder).at("create", folder)?;
        let paths = ["figures.json", "figures.svg"].map(|name| folder.join(name));
        let json = serde_json::to_string_pretty(self).map_err(std::io::Error::from);
        let json = json.during("write figures as JSON")?;
        fs::write(&paths[0], json + "\n").at("write", &paths[0])?;
        fs::write(&paths[1], chart::draw(&self.cases)).at("write", &paths[1])?;
        Ok(paths)
    }
}

/// With one client, or at a pace, a difference is what the hop itself takes; under full load it is the length of a queue.
fn print_added(case: &CaseFigures) {
    let print = |which: &str, added: Vec<(Peer, f64)>| {
        if !added.is_empty() {
            let added = added.iter().map(|(peer, us)| format!("{} {us:.0} us", peer.name()));
            println!("added to {which}: {}\n", added.collect::<Vec<_>>().join(", "));
        }
    };
    if case.is_one_client() || case.is_paced {
        print("the median call", case.added_us(|sample| sample.p50_us));
    }
    if case.is_paced {
        print("the 99th percentile", case.added_us(|sample| sample.p99_us));
    }
}
