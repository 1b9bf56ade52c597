//! Cold starts: every function of a project is called once, and then once more. And what each costs
//! in memory while it waits for the next call.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;

use crate::error::{BenchError, During as _, Result};
use crate::load::get;
use crate::peers::{Daemon, Sandbox, Site};
use crate::process::Tree;
use crate::stats::{Spread, percentile};

/// One way to write the smallest function.
#[derive(Debug)]
pub(crate) struct Runtime {
    pub(crate) name: &'static str,
    /// The lines of the manifest that differ.
    manifest: &'static str,
    /// A source file; the command runtime takes the canned server.
    source: Option<(&'static str, &'static str)>,
}

pub(crate) const RUNTIMES: &[Runtime] = &[
    Runtime {
        name: "command (static binary)",
        manifest: "runtime = \"command\"\ncommand = [\"./server\"]",
        source: None,
    },
    Runtime {
        name: "node",
        manifest: "runtime = \"node\"\nhandler = \"hello.mjs#hello\"",
        source: Some(("hello.mjs", "export function hello(ctx) { return \"hello\"; }\n")),
    },
    Runtime {
        name: "python",
        manifest: "runtime = \"python\"\nhandler = \"hello.py#hello\"",
        source: Some(("hello.py", "def hello(ctx):\n    return \"hello\"\n")),
    },
];

#[derive(Debug, Serialize)]
pub(crate) struct ColdFigures {
    pub(crate) runtime: &'static str,
    /// From before the connection is opened to the end of the answer, as the client sees it.
    pub(crate) answer_ms: Vec<f64>,
    /// The same call again, at its best: what of the above is no cold start.
    pub(crate) warm_ms: f64,
    /// What the node says it took, median, with its phases.
    pub(crate) start_ms: Option<f64>,
    pub(crate) phases_ms: BTreeMap<String, f64>,
    /// Median of the sandboxes; pages that several map are divided among them.
    pub(crate) idle_bytes: f64,
    /// As its cgroup counts: what a sandbox was the first to touch is charged to it.
    pub(crate) idle_cgroup_bytes: Option<f64>,
    /// As one cold answer said it.
    pub(crate) server_timing: Option<String>,
}

impl ColdFigures {
    pub(crate) fn answer(&self) -> Option<Spread> {
        Spread::of(self.answer_ms.iter().copied())
    }

    pub(crate) fn answer_p90_ms(&self) -> f64 {
        let mut sorted = self.answer_ms.clone();
        sorted.sort_by(f64::total_cmp);
        percentile(&sorted, 90)
    }
}

/// Hatches `starts` functions of `runtime`, one after another, on a fresh daemon.
pub(crate) fn measure(
    runtime: &'static Runtime,
    starts: usize,
    site: &Site,
) -> Result<ColdFigures> {
    let project = write_project(runtime, starts, site)?;
    let daemon = Daemon::start(site, &project, None)?;
    let mut answer_ms = Vec::new();
    let mut warm_ms = Vec::new();
    let mut server_timing = None;
    for index in 0..starts {
        let (cold, timing) = timed_call(&daemon, index)?;
        answer_ms.push(cold);
        server_timing = server_timing.or(timing);
        warm_ms.push(timed_call(&daemon, index)?.0);
    }
    let sandboxes = daemon.sandboxes()?;
    Ok(ColdFigures {
        runtime: runtime.name,
        answer_ms,
        warm_ms: Spread::of(warm_ms).unwrap_or_default().min,
        start_ms: median(
            sandboxes.iter().filter_map(|sandbox| Some(sandbox.start.as_ref()?.total_ms)),
        ),
        phases_ms: phases(&sandboxes),
        idle_bytes: median(sandboxes.iter().map(held_bytes)).unwrap_or_default(),
        idle_cgroup_bytes: median(sandboxes.iter().filter_map(|s| Some(s.memory_bytes? as f64))),
        server_timing,
    })
}

fn timed_call(daemon: &Daemon, index: usize) -> Result<(f64, Option<String>)> {
    let began = Instant::now();
    let answer = get(daemon.address, &format!("/f{index}"))?;
    let ms = began.elapsed().as_secs_f64() * 1e3;
    if answer.status != 200 {
        let text = format!("{} {}", answer.status, answer.body);
        return Err(BenchError::Unexpected { what: "the answer of a cold function", text });
    }
    Ok((ms, answer.header("server-timing").map(str::to_owned)))
}

fn held_bytes(sandbox: &Sandbox) -> f64 {
    Tree::of(sandbox.pid).proportional_bytes() as f64
}

fn phases(sandboxes: &[Sandbox]) -> BTreeMap<String, f64> {
    let mut all: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for start in sandboxes.iter().filter_map(|sandbox| sandbox.start.as_ref()) {
        for (name, ms) in &start.phases {
            all.entry(name).or_default().push(*ms);
        }
    }
    all.into_iter().filter_map(|(name, ms)| Some((name.to_owned(), median(ms)?))).collect()
}

fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    Spread::of(values).map(|spread| spread.median)
}

fn write_project(runtime: &Runtime, functions: usize, site: &Site) -> Result<PathBuf> {
    let project = site.dir.join("cold");
    if project.exists() {
        fs::remove_dir_all(&project).at("remove", &project)?;
    }
    fs::create_dir_all(&project).at("create", &project)?;
    match runtime.source {
        Some((name, text)) => write(&project, name, text)?,
        None => drop(fs::copy(&site.function, project.join("server")).at("copy", &site.function)?),
    }
    let manifest = (0..functions).fold(String::new(), |mut manifest, index| {
        // Writing to a string cannot fail.
        let _ = write!(
            manifest,
            "[function.f{index}]\n{}\nhttp = {{ path = \"/f{index}\" }}\n\
             memory = \"128MiB\"\ncpu = \"1000m\"\nmax = 1\nidle_timeout = \"3600s\"\n\n",
            runtime.manifest
        );
        manifest
    });
    write(&project, "hatchway.toml", &manifest)?;
    Ok(project)
}

fn write(project: &Path, name: &str, text: &str) -> Result<()> {
    let file = project.join(name);
    fs::write(&file, text).at("write", &file)
}
