//! `make perf-budget`: instructions and system calls that our programs spend on a request, held against a
//! committed file.
//!
//! Time on a shared machine is noise of 15 %; instructions in user space are the same in every run to a
//! fraction of one. They are counted by valgrind's callgrind, for programs that have warmed up, while a client
//! sends the same requests in the same order.
//!
//! Reading order: [`cases`] what is asked, [`client`] who asks, [`stage`] what is started for it, [`callgrind`]
//! how it is counted, [`mod@file`] what it may cost, [`verdict`] what is said about it.

mod callgrind;
mod cases;
mod client;
mod file;
mod stage;
mod verdict;

use std::path::Path;

use rustix::thread::{CpuSet, sched_setaffinity};

use crate::error::{During as _, Result};
use crate::peers::Site;

use callgrind::Profile;
use cases::{CASES, Case};
use file::Budget;
use verdict::{Verdict, print_over, table};

/// What one request of a case costs.
#[derive(Clone, Debug)]
pub(crate) struct Cost {
    pub(crate) case: &'static Case,
    pub(crate) instructions: f64,
    pub(crate) system_calls: f64,
    pub(crate) clock_reads: f64,
    /// Self cost a request of each function, dearest first.
    pub(crate) functions: Vec<(String, f64)>,
}

/// Counts the wanted cases and compares; true when all are within their budget. With `accept`, the file is
/// rewritten to what was counted.
///
/// # Errors
/// When something cannot be started, counted, read or written.
pub(crate) fn run(
    file: &Path,
    accept: bool,
    wanted: impl Fn(&str) -> bool,
    site: &Site,
    progress: &dyn Fn(&str),
) -> Result<bool> {
    let mut budget = Budget::read(file)?;
    pin_to(site.cores.gateway)?;
    let mut verdicts = Vec::new();
    for group in stage::ALL {
        let mut cases =
            CASES.iter().filter(|case| case.stage == group && wanted(case.name)).peekable();
        if cases.peek().is_none() {
            continue;
        }
        progress(&format!("starting {}", group.name()));
        let stage = group.start(site)?;
        for case in cases {
            progress(&format!("counting: {}", case.what));
            let cost = cost(case, &stage)?;
            verdicts.push(Verdict::of(cost, &budget));
        }
    }
    println!("{}", table(&verdicts));
    if accept {
        for verdict in &verdicts {
            budget.accept(&verdict.cost);
        }
        budget.write(file)?;
        println!("written: {}", file.display());
        return Ok(true);
    }
    let missed: Vec<&Verdict> = verdicts.iter().filter(|verdict| !verdict.is_kept()).collect();
    for verdict in &missed {
        print_over(verdict);
    }
    if !missed.is_empty() {
        println!(
            "Explain the difference in the commit, then: make perf-budget ARGS=--accept\n\
             (a budget that is too high hides the next loss, so it has to be lowered as well)"
        );
    }
    Ok(missed.is_empty())
}

/// The client, the programs and the function take turns on one core: what is ready when does not depend on how
/// many cores there are.
fn pin_to(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).during("pin this program to one core")
}

fn cost(case: &'static Case, stage: &stage::Stage) -> Result<Cost> {
    let mut load = case.load.open(stage.address)?;
    load.run(case.warm_up)?;
    for program in &stage.counted {
        program.zero()?;
    }
    let requests = load.run(case.rounds)?;
    let mut sum = Profile::default();
    for program in &stage.counted {
        sum.add(program.dump()?);
    }
    let each = |count: u64| count as f64 / requests as f64;
    let mut functions: Vec<(String, f64)> =
        sum.by_function.into_iter().map(|(name, count)| (name, each(count))).collect();
    functions.sort_by(|a, b| b.1.total_cmp(&a.1));
    Ok(Cost {
        case,
        instructions: each(sum.instructions),
        system_calls: each(sum.system_calls),
        clock_reads: each(sum.clock_reads),
        functions,
    })
}
