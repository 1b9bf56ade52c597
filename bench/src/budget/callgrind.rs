//! A program of ours under callgrind, told over valgrind's own line when to count.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::child::{Child, find, output_of};
use crate::error::{BenchError, During as _, Result};

/// A table of 100,000 routes is read at a tenth of the usual pace, on a machine that may be busy.
const READY_LIMIT: Duration = Duration::from_secs(120);

/// A running program.
#[derive(Debug)]
pub(crate) struct Counted {
    child: Child,
    out: PathBuf,
    line: String,
    dumps: AtomicU32,
}

/// What was counted since the last [`Counted::zero`].
#[derive(Debug, Default)]
pub(crate) struct Profile {
    /// In user space.
    pub(crate) instructions: u64,
    /// Without those that only read the clock: natively the vDSO answers them, which valgrind hides.
    pub(crate) system_calls: u64,
    pub(crate) clock_reads: u64,
    /// Instructions of each function itself, without what it calls.
    pub(crate) by_function: HashMap<String, u64>,
}

impl Counted {
    /// Starts `command`, not counting yet: its start runs at the pace of a plain translation.
    pub(crate) fn start(name: &str, command: &Command, dir: &Path) -> Result<Self> {
        let out = dir.join(format!("{name}.callgrind"));
        let line = format!("--vgdb-prefix={}", dir.join("vgdb").display());
        let mut counted = Command::new(find("valgrind")?);
        counted.args(["--tool=callgrind", "--instr-atstart=no", "--collect-systime=yes"]);
        // Names in full and no line numbers: a dump is read here and by nobody else.
        counted.args(["--compress-strings=no", "--compress-pos=no", "--dump-line=no"]);
        counted.arg(format!("--callgrind-out-file={}", out.display())).args(["--vgdb=yes", &line]);
        counted.arg(command.get_program()).args(command.get_args());
        let child = Child::start(name, None, counted, dir)?;
        Ok(Self { child, out, line, dumps: AtomicU32::new(0) })
    }

    /// Asks `is_ready` until it holds.
    ///
    /// # Errors
    /// When the program ends first, or takes too long.
    pub(crate) fn wait_until(&mut self, is_ready: impl Fn() -> bool) -> Result<()> {
        self.child.wait_within(READY_LIMIT, is_ready)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Begins to count, from nothing.
    pub(crate) fn count(&self) -> Result<()> {
        self.tell("instrumentation on")
    }

    /// Forgets what was counted.
    pub(crate) fn zero(&self) -> Result<()> {
        self.tell("zero")
    }

    /// What was counted since the last zero or dump.
    pub(crate) fn dump(&self) -> Result<Profile> {
        self.tell("dump")?;
        let part = self.dumps.fetch_add(1, Ordering::Relaxed) + 1;
        let file = PathBuf::from(format!("{}.{part}", self.out.display()));
        let text = fs::read_to_string(&file).at("read", &file)?;
        Profile::parse(&text).ok_or_else(|| BenchError::Unexpected {
            what: "what callgrind wrote",
            text: text.lines().take(20).collect::<Vec<_>>().join("\n"),
        })
    }

    fn tell(&self, what: &str) -> Result<()> {
        let mut vgdb = Command::new(find("vgdb")?);
        vgdb.arg(&self.line).arg(format!("--pid={}", self.child.pid()));
        output_of(vgdb.args(what.split(' '))).map(drop)
    }
}

impl Profile {
    pub(crate) fn add(&mut self, other: Self) {
        self.instructions += other.instructions;
        self.system_calls += other.system_calls;
        self.clock_reads += other.clock_reads;
        for (name, count) in other.by_function {
            *self.by_function.entry(name).or_default() += count;
        }
    }

    /// Reads the format of callgrind (its manual, "Callgrind Format Specification"), as written with full names.
    fn parse(text: &str) -> Option<Self> {
        let mut profile = Self::default();
        let mut function = "";
        let mut is_call = false;
        let mut has_totals = false;
        for line in text.lines() {
            if let Some(totals) = line.strip_prefix("totals: ") {
                let mut totals = totals.split(' ').map(|total| total.parse().ok());
                profile.instructions = totals.next()??;
                profile.system_calls = totals.next()??;
                profile.system_calls = profile.system_calls.checked_sub(profile.clock_reads)?;
                has_totals = true;
            } else if let Some(name) = line.strip_prefix("fn=") {
                function = name;
            } else if line.starts_with("calls=") {
                // The next line is the cost of the callee.
                is_call = true;
            } else if line.starts_with(|first: char| first.is_ascii_digit())
                && !std::mem::take(&mut is_call)
            {
                profile.take_self_cost(function, line);
            }
        }
        has_totals.then_some(profile)
    }

    /// A line of a function's own cost: position, instructions, system calls, time; zeros at the end are left out.
    fn take_self_cost(&mut self, function: &str, line: &str) {
        let mut costs = line.split(' ').skip(1).map(|cost| cost.parse::<u64>().unwrap_or(0));
        *self.by_function.entry(plain(function)).or_default() += costs.next().unwrap_or(0);
        if function.starts_with("clock_gettime") {
            self.clock_reads += costs.next().unwrap_or(0);
        }
    }
}

/// Without the hash that tells two copies of one function apart.
fn plain(name: &str) -> String {
    let name = name.split('\'').next().unwrap_or(name);
    match name.rsplit_once("::h") {
        Some((front, hash)) if hash.len() == 16 => front.to_owned(),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_is_read_without_what_callees_cost() {
        let text = "version: 1\nevents: Ir sysCount sysTime\n\n\
                    fn=a::b::h0123456789abcdef\n0 10\n\
                    cfn=c\ncalls=1 0\n0 30 2 9\n0 5\n\n\
                    fn=c\n0 20 2 9\n\nfn=clock_gettime@@GLIBC_2.17\n0 10 3 1\n\ntotals: 45 5 10\n";
        let profile = Profile::parse(text).unwrap();
        let Profile { instructions, system_calls, clock_reads, by_function } = profile;
        assert_eq!((instructions, system_calls, clock_reads), (45, 2, 3));
        assert_eq!((by_function["a::b"], by_function["c"]), (15, 20));
    }

    #[test]
    fn a_dump_that_was_cut_is_none() {
        assert!(Profile::parse("version: 1\nfn=a\n0 1\n").is_none());
    }
}
