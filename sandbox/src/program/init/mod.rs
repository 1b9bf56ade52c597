//! `hatchway-sandbox-init`: the child half of a sandbox.
//!
//! One process comes in, as number 1 of its process-id namespace, and isolates itself as its
//! `Prepare` says. Then it splits: the `reaper` gives up every right and waits for what
//! ends; the `nest` parks until an `Assign` names what to run, gives up every right too,
//! and becomes it. The function is thus not number 1, which would have to collect orphans and
//! which no signal ends by default.

mod nest;
mod reaper;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

use rustix::net::RecvFlags;

use crate::protocol::packet::{self, Receiver};
use crate::protocol::plan::{Prepare, Report};
use crate::steps::{self, Step, StepError};
use crate::sys::process::{fork, take_stdin};

/// Runs the program: descriptor 0 is its socket to the spawner.
pub fn main() -> ExitCode {
    let spawner = take_stdin();
    let mut receiver = Receiver::new();
    let (prepare, attached) = match receive_prepare(&mut receiver, &spawner) {
        Ok(plan) => plan,
        // The spawner has gone, or thought better of it.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return ExitCode::FAILURE,
        Err(error) => {
            eprintln!("hatchway-sandbox-init is started by hatchway-spawner: {error}");
            return ExitCode::from(64);
        }
    };
    match isolate(&prepare, attached) {
        Ok(socket) => split(&spawner, socket, receiver, &prepare),
        Err(error) => {
            report(&spawner, &Report::Failed(error));
            ExitCode::FAILURE
        }
    }
}

fn receive_prepare(
    receiver: &mut Receiver,
    spawner: &OwnedFd,
) -> io::Result<(Prepare, Vec<OwnedFd>)> {
    let packet = receiver.receive(spawner, RecvFlags::empty())?;
    let (bytes, attached) = packet.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok((packet::decode(bytes)?, attached))
}

/// Everything that can be done before it is known what will run; gives the nest's socket.
fn isolate(prepare: &Prepare, attached: Vec<OwnedFd>) -> Result<OwnedFd, StepError> {
    let mut attached = attached.into_iter();
    let cut = || StepError {
        step: Step::Process,
        errno: 0,
        detail: "a message without its descriptors".to_owned(),
    };
    let socket = attached.next().ok_or_else(cut)?;
    let etc = attached.next().ok_or_else(cut)?;
    let doors: Vec<OwnedFd> = attached.collect();
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    steps::privileges::die_with_parent()?;
    steps::group::join(&doors)?;
    steps::namespaces::leave(&prepare.steps, prepare.network)?;
    if prepare.steps.contains(&Step::Root) {
        steps::root::build(&prepare.stage, etc.as_fd(), &prepare.steps)?;
    }
    if prepare.steps.contains(&Step::Capabilities) {
        steps::privileges::drop_bounding_set()?;
    }
    Ok(socket)
}

fn split(spawner: &OwnedFd, socket: OwnedFd, receiver: Receiver, prepare: &Prepare) -> ExitCode {
    let nest = match fork() {
        Ok(None) => nest::run(&socket, receiver, prepare),
        Ok(Some(nest)) => Ok(nest),
        Err(error) => Err(StepError::new(Step::Process, "fork", &error)),
    };
    // The nest's alone from here on: its closing announces the exec.
    drop(socket);
    if let Err(error) = nest.and_then(|nest| reaper::run(spawner, nest, prepare)) {
        report(spawner, &Report::Failed(error));
    }
    ExitCode::SUCCESS
}

/// Tells the spawner. One that is gone takes us with it, so there is nobody to tell of that.
fn report(socket: impl AsFd, report: &Report) {
    let _ = packet::send_message(socket, report, &[]);
}
