//! Cold starts: every function of a project is called once, as soon as a runtime waits for it, and then once more. And what each costs
//! in memory while it waits for the next call. Then one function, called again and again after it was
//! reaped: a start of a version that this node has started before.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

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
    /// Whether a first start is made in a runtime that has booted in advance.
    has_cells: bool,
    /// A source file; the command runtime takes the canned server.
    source: Option<(&'static str, &'static str)>,
}

pub(crate) const RUNTIMES: &[Runtime] = &[
    Runtime {
        name: "command (static binary)",
        manifest: "runtime = \"command\"\ncommand = [\"./server\"]",
        has_cells: false,
        source: None,
    },
    Runtime {
        name: "node",
        manifest: "runtime = \"node\"\nhandler = \"hello.mjs#hello\"",
        has_cells: true,
        source: Some(("hello.mjs", "export function hello(ctx) { return \"hello\"; }\n")),
    },
    Runtime {
        name: "python",
        manifest: "runtime = \"python\"\nhandler = \"hello.py#hello\"",
        has_cells: true,
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
    pub(crate) again: Again,
}

/// Starts of a version that has been started before.
#[derive(Debug, Serialize)]
pub(crate) struct Again {
    pub(crate) answer_ms: Vec<f64>,
    /// What most of them were started from.
    pub(crate) from: String,
    /// What the node says they took, median, with the phases.
    pub(crate) start_ms: Option<f64>,
    pub(crate) phases_ms: BTreeMap<String, f64>,
    /// As the cgroup counts: what each has for itself.
    pub(crate) idle_cgroup_bytes: Option<f64>,
}

impl Again {
    pub(crate) fn answer(&self) -> Option<Spread> {
        Spread::of(self.answer_ms.iter().copied())
    }

    pub(crate) fn answer_p99_ms(&self) -> f64 {
        let mut sorted = self.answer_ms.clone();
        sorted.sort_by(f64::total_cmp);
        percentile(&sorted, 99)
    }
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
    let project = write_project(runtime, starts, "3600s", site)?;
    let daemon = Daemon::start(site, &project, None)?;
    let mut answer_ms = Vec::new();
    let mut warm_ms = Vec::new();
    let mut server_timing = None;
    for index in 0..starts {
        if runtime.has_cells {
            wait_until(|| daemon.is_stocked(runtime.name))?;
        }
        let (cold, timing) = timed_call(&daemon, index)?;
        answer_ms.push(cold);
        server_timing = server_timing.or(timing);
        warm_ms.push(timed_call(&daemon, index)?.0);
    }
    let sandboxes = daemon.sandboxes()?;
    drop(daemon);
    let again = measure_again(runtime, starts, site)?;
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
        again,
    })
}

/// Hatches one function `starts` times, each time after it was reaped.
fn measure_again(runtime: &'static Runtime, starts: usize, site: &Site) -> Result<Again> {
    let project = write_project(runtime, 1, "100ms", site)?;
    let daemon = Daemon::start(site, &project, None)?;
    timed_call(&daemon, 0)?;
    let (mut answer_ms, mut sandboxes) = (Vec::new(), Vec::new());
    for _ in 0..starts {
        let is_settled = || Ok(daemon.sandboxes()?.is_empty() && daemon.is_warmed()?);
        wait_until(is_settled)?;
        answer_ms.push(timed_call(&daemon, 0)?.0);
        sandboxes.extend(daemon.sandboxes()?);
    }
    let kinds = sandboxes.iter().filter_map(|sandbox| Some(sandbox.start.as_ref()?.kind.as_str()));
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    kinds.for_each(|kind| *counts.entry(kind).or_default() += 1);
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    Ok(Again {
        answer_ms,
        from: most.map_or_else(String::new, |(kind, _)| kind.to_owned()),
        start_ms: median(sandboxes.iter().filter_map(|s| Some(s.start.as_ref()?.total_ms))),
        phases_ms: phases(&sandboxes),
        idle_cgroup_bytes: median(sandboxes.iter().filter_map(|s| Some(s.memory_bytes? as f64))),
    })
}

fn wait_until(is_so: impl Fn() -> Result<bool>) -> Result<()> {
    const LIMIT: Duration = Duration::from_secs(60);
    let began = Instant::now();
    while !is_so()? {
        if began.elapsed() > LIMIT {
            let text = format!("still not so after {LIMIT:?}");
            return Err(BenchError::Unexpected { what: "a function that is not reaped", text });
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
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

fn write_project(
    runtime: &Runtime,
    functions: usize,
    idle_timeout: &str,
    site: &Site,
) -> Result<PathBuf> {
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
             memory = \"128MiB\"\ncpu = \"1000m\"\nmax = 1\nidle_timeout = \"{idle_timeout}\"\n\n",
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
