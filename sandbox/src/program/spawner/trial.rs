//! A sandbox that takes every step and stops short of running anything: at start it shows what
//! this machine gives, without a list of what kernels and containers may forbid.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::RecvFlags;

use super::birth::{self, Newborn};
use super::setup::Ground;
use crate::cgroup::{GroupPaths, clear, file};
use crate::protocol::packet::{self, Receiver};
use crate::protocol::plan::Report;
use crate::spec::{Entry, Network, SandboxSpec};
use crate::steps::{AtStep, Step, StepError};

/// A program that no sandbox has: that it is not found shows that everything before worked.
const NO_PROGRAM: &str = "/hatchway/no-such-program";
const NAME: &str = "trial";

/// Takes every step of `ground` once.
///
/// # Errors
/// The step that failed.
pub(super) fn run(ground: &Ground) -> Result<(), StepError> {
    let spec = spec(ground);
    let group = birth::group(ground, NAME)?;
    let limited = ground.groups.limit(&group, &birth::limits(&spec));
    let outcome = limited
        .map_err(|error| StepError {
            step: Step::Group,
            errno: file::errno(&error),
            detail: error.to_string(),
        })
        .and_then(|()| run_in(ground, &group, &spec));
    let mut dirs = group.dirs().into_iter();
    dirs.try_for_each(clear::clear).at(Step::Group, NAME)?;
    outcome
}

fn run_in(ground: &Ground, group: &GroupPaths, spec: &SandboxSpec) -> Result<(), StepError> {
    let uid = ground.charter.uid_base + 1;
    let newborn = birth::prepare(ground, group, uid, spec.network.into())?;
    let luggage = birth::load(ground, spec, &[ground.etc.as_fd()]);
    let assigned = luggage.and_then(|luggage| {
        let null = std::fs::File::open("/dev/null").at(Step::Process, "/dev/null")?;
        let given = [null.try_clone().at(Step::Process, "")?.into(), null.into()];
        birth::assign(ground, newborn.nest.as_fd(), spec, &given, &luggage)
    });
    let outcome = match assigned {
        Ok(()) => listen(&newborn),
        // The newborn may have failed before it could be assigned anything: its word is
        // nearer to the cause.
        Err(error) => listen(&newborn).and(Err(error)),
    };
    let status = newborn.abandon();
    match (outcome, status.and_then(|status| status.exit_status())) {
        // It has said nothing at all: the number of why it could not be executed.
        (Err(error), Some(errno)) if error.detail == SILENT => Err(StepError { errno, ..error }),
        (outcome, _) => outcome,
    }
}

const SILENT: &str = "sandbox-init said nothing";

/// Waits for the first failure from either half.
fn listen(newborn: &Newborn) -> Result<(), StepError> {
    let mut receiver = Receiver::new();
    let mut open: Vec<&OwnedFd> = vec![&newborn.nest, &newborn.reaper];
    let mut ended = None;
    while !open.is_empty() {
        let mut polls: Vec<_> = open.iter().map(|fd| PollFd::new(*fd, PollFlags::IN)).collect();
        rustix::io::retry_on_intr(|| poll(&mut polls, None)).at(Step::Process, "poll")?;
        let ready: Vec<bool> = polls.iter().map(|poll| !poll.revents().is_empty()).collect();
        drop(polls);
        let Some(index) = ready.iter().position(|ready| *ready) else {
            continue;
        };
        let packet = receiver.receive(open[index], RecvFlags::empty());
        let Some((bytes, _)) = packet.at(Step::Process, "report")? else {
            open.remove(index);
            continue;
        };
        match packet::decode(bytes).at(Step::Process, "report")? {
            Report::Failed(error) if error.step == Step::Exec => return Ok(()),
            Report::Failed(error) => return Err(error),
            Report::Ended { status } => ended = Some(status),
            Report::Parked | Report::Executing | Report::Moved { .. } | Report::Furnished => {}
        }
    }
    Err(StepError {
        step: Step::Process,
        errno: 0,
        detail: match ended {
            Some(status) => format!("status {status}, without a word"),
            None => SILENT.to_owned(),
        },
    })
}

fn spec(ground: &Ground) -> SandboxSpec {
    let package = match ground.steps.contains(&Step::Root) {
        true => ground.charter.run_dir.join("etc"),
        // Without a root of its own a sandbox works where the host can be seen by all.
        false => "/".into(),
    };
    SandboxSpec {
        id: 0,
        name: NAME.to_owned(),
        argv: vec![NO_PROGRAM.to_owned()],
        env: Vec::new(),
        package,
        read_only: Vec::new(),
        memory_bytes: 32 << 20,
        cpu_millis: 1000,
        pids: 4,
        files: 64,
        tmp_bytes: 0,
        network: Network::None,
        entry: Entry::Probed { port: 1 },
    }
}
