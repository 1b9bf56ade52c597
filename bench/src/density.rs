//! `make bench-density`: how many functions one node holds. So many *different* Node functions live, each in a sandbox of
//! its own that was forked; many more are registered and answer when they are called; and what the same functions cost
//! as plain `node` processes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use comfy_table::{Table, presets};

use crate::child::Child;
use crate::error::{BenchError, During as _, Result};
use crate::load::get;
use crate::peers::{Daemon, Sandbox, Site};
use crate::process::Tree;
use crate::stats::{Spread, percentile};

/// What a node of 8 GiB gives its sandboxes: three quarters.
const MEMORY_MIB: u64 = 6144;
/// Of those that are registered, so many are called before the others live, and so many after.
const CALLED: usize = 40;
/// Plain processes are all alike: of more of them nothing new would be learnt.
const PLAIN: usize = 40;
const MIB: f64 = 1024.0 * 1024.0;
/// The longest that anything is waited for.
const LIMIT: Duration = Duration::from_secs(60);

/// What was found.
#[derive(Debug)]
pub(crate) struct Density {
    live: usize,
    registered: usize,
    /// What the live ones were started from, and how many.
    kinds: BTreeMap<String, usize>,
    /// Of each live sandbox: pages that several map are divided among them.
    sandbox_bytes: Spread,
    sandboxes_bytes: f64,
    /// The daemon, its helpers, parked nests and what is kept for forking.
    others_bytes: f64,
    plain_bytes: Option<Spread>,
    /// Of registered ones, in milliseconds: on an empty node, and beside all that live.
    cold_before: Vec<f64>,
    cold_after: Vec<f64>,
    /// Of live ones, after all that.
    warm: Vec<f64>,
}

/// Brings `live` functions to life on a node that has `registered` more.
pub(crate) fn measure(
    live: usize,
    registered: usize,
    site: &Site,
    progress: &dyn Fn(&str),
) -> Result<Density> {
    let project = write_project(live, registered.max(2 * CALLED), site)?;
    progress("density: plain node processes");
    let plain_bytes = plain(&project, live.min(PLAIN), site)?;
    progress("density: the node starts");
    let daemon = Daemon::start_within(site, &project, MEMORY_MIB)?;
    let cold = |from: usize| -> Result<Vec<f64>> {
        (from..from + CALLED).map(|index| timed(&daemon, &format!("/r{index}"))).collect()
    };
    let cold_before = cold(0)?;
    for index in 0..live {
        progress(&format!("density: {index} of {live} functions live"));
        bring_to_life(&daemon, index)?;
    }
    wait_until("what is kept for forking is settled", || daemon.is_warmed())?;
    let sandboxes: Vec<Sandbox> = daemon.sandboxes()?;
    let sandboxes: Vec<_> = sandboxes.into_iter().filter(|one| one.is_of("local/d")).collect();
    let held = sandboxes.iter().map(|sandbox| Tree::of(sandbox.pid).proportional_bytes() as f64);
    let held: Vec<f64> = held.collect();
    let others_bytes = daemon.charged(&daemon.sandboxes()?).proportional_bytes() as f64;
    let cold_after = cold(CALLED)?;
    let warm =
        (0..live).map(|index| timed(&daemon, &format!("/d{index}"))).collect::<Result<_>>()?;
    let mut kinds = BTreeMap::new();
    for start in sandboxes.iter().filter_map(|sandbox| sandbox.start.as_ref()) {
        *kinds.entry(start.kind.clone()).or_default() += 1;
    }
    Ok(Density {
        live: sandboxes.len(),
        registered,
        kinds,
        sandbox_bytes: Spread::of(held.iter().copied()).unwrap_or_default(),
        sandboxes_bytes: held.iter().sum(),
        others_bytes,
        plain_bytes,
        cold_before,
        cold_after,
        warm,
    })
}

/// The second start of a function is a fork, so its first sandbox has to go. By force, for its idle timeout is long: the
/// node holds it for a crash, and for a moment refuses to start another.
fn bring_to_life(daemon: &Daemon, index: usize) -> Result<()> {
    let path = format!("/d{index}");
    timed(daemon, &path)?;
    let function = format!("local/d{index}");
    wait_until("a function can be forked", || daemon.is_forkable(&function))?;
    daemon.end_sandbox_of(&function)?;
    wait_until("a function is back", || Ok(get(daemon.address, &path)?.status == 200))
}

/// The same functions, each served by a process of its own as one would do it without a platform.
fn plain(project: &Path, count: usize, site: &Site) -> Result<Option<Spread>> {
    write(project, "plain.mjs", PLAIN_SERVER)?;
    let mut children = Vec::new();
    for index in 0..count {
        let socket = site.dir.join(format!("plain-{index}.sock"));
        let mut command = Command::new("node");
        command.arg(project.join("plain.mjs")).arg(project.join(module(index))).arg(&socket);
        let mut child = Child::start("plain", None, command, &site.dir)?;
        child.wait_until(|| socket.exists())?;
        children.push(child);
    }
    Ok(Spread::of(children.iter().map(|one| Tree::of(one.pid()).proportional_bytes() as f64)))
}

const PLAIN_SERVER: &str = "import http from 'node:http';
const { hello } = await import(process.argv[2]);
http.createServer((request, response) => response.end(hello({}))).listen(process.argv[3]);
";

fn timed(daemon: &Daemon, path: &str) -> Result<f64> {
    let began = Instant::now();
    let answer = get(daemon.address, path)?;
    let ms = began.elapsed().as_secs_f64() * 1e3;
    match answer.status {
        200 => Ok(ms),
        status => {
            let text = format!("{path}: {status} {}", answer.body);
            Err(BenchError::Unexpected { what: "the answer of a function", text })
        }
    }
}

fn wait_until(what: &'static str, is_so: impl Fn() -> Result<bool>) -> Result<()> {
    let began = Instant::now();
    while !is_so()? {
        if began.elapsed() > LIMIT {
            return Err(BenchError::Unexpected { what, text: format!("not within {LIMIT:?}") });
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn module(index: usize) -> String {
    format!("d{index}.mjs")
}

/// Each function has code of its own, and some libraries of Node's to load.
fn write_project(live: usize, registered: usize, site: &Site) -> Result<PathBuf> {
    let project = site.dir.join("density");
    if project.exists() {
        fs::remove_dir_all(&project).at("remove", &project)?;
    }
    let mut manifest = String::new();
    for (kind, count) in [("d", live), ("r", registered)] {
        for index in 0..count {
            let name = format!("{kind}{index}");
            let folder = project.join(&name);
            fs::create_dir_all(&folder).at("create", &folder)?;
            let code = format!(
                "import {{ createHash }} from 'node:crypto';\nimport {{ parse }} from 'node:url';\n\
                 const table = new Map(Array.from({{ length: 1000 }}, (_, n) => [`{name}-${{n}}`, n]));\n\
                 export const hello = () => `{name} ${{table.size}} ${{typeof createHash}} ${{typeof parse}}`;\n"
            );
            write(&folder, "hello.mjs", &code)?;
            if kind == "d" {
                write(&project, &module(index), &code)?;
            }
            // Writing to a string cannot fail.
            let _ = write!(
                manifest,
                "[function.{name}]\nruntime = \"node\"\nhandler = \"hello.mjs#hello\"\npackage = \"{name}\"\n\
                 http = {{ path = \"/{name}\" }}\nmemory = \"128MiB\"\nmax = 1\nidle_timeout = \"3600s\"\n\n",
            );
        }
    }
    write(&project, "hatchway.toml", &manifest)?;
    Ok(project)
}

fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    let file = folder.join(name);
    fs::write(&file, text).at("write", &file)
}

impl Density {
    /// A table for a person.
    pub(crate) fn print(&self) {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        table.set_header(["", ""]);
        let kinds: Vec<_> = self.kinds.iter().map(|(kind, n)| format!("{n} by {kind}")).collect();
        let spread = |of: &Spread| {
            let [min, median, max] = [of.min, of.median, of.max].map(|bytes| bytes / MIB);
            format!("{median:.1} MiB ({min:.1} to {max:.1})")
        };
        let times = |ms: &[f64]| {
            let mut sorted = ms.to_vec();
            sorted.sort_by(f64::total_cmp);
            format!("{:.1} ms, p99 {:.1}", percentile(&sorted, 50), percentile(&sorted, 99))
        };
        let total = (self.sandboxes_bytes + self.others_bytes) / MIB;
        let mut row = |what: &str, value: String| {
            table.add_row([what.to_owned(), value]);
        };
        row("functions that live", format!("{}: {}", self.live, kinds.join(", ")));
        row("registered besides", self.registered.to_string());
        row("memory of a sandbox", spread(&self.sandbox_bytes));
        row("of all sandboxes", format!("{:.0} MiB", self.sandboxes_bytes / MIB));
        row("of everything else of the node", format!("{:.0} MiB", self.others_bytes / MIB));
        row("together, for each that lives", format!("{:.1} MiB", total / self.live.max(1) as f64));
        if let Some(plain) = &self.plain_bytes {
            row("the same as plain node processes", format!("{} each", spread(plain)));
        }
        row("cold answer, of a registered one, on an empty node", times(&self.cold_before));
        row("the same, beside all that live", times(&self.cold_after));
        row("warm answer, over a new connection", times(&self.warm));
        println!("{table}");
    }
}
