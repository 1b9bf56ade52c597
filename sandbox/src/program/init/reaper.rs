//! The half that stays: number 1 of the process-id namespace.
//!
//! It collects what ends, tells how the function itself ended, and by its own end has the
//! kernel kill everything that the function has left running. Where the function is a zygote it
//! outlives it, for the zygote's children, and moves each into its control group: it numbers
//! processes as the nest does, so none but the tenant's own can be meant, and the spawner,
//! which everyone waits for, does not wait for the kernel's grace periods. Where it is a stem cell
//! it keeps its rights until it has mounted what that is to become: until then no code of a
//! tenant's runs in here.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};

use super::report;
use crate::protocol::packet::{self, Receiver};
use crate::protocol::plan::{Prepare, Report, Word};
use crate::spec::PACKAGE_DIR;
use crate::steps::{self, AtStep, Step, StepError};
use crate::sys::process::watch_children;

/// Waits until the function's process ends, and tells how. Ends itself then, unless it is to
/// stay.
pub(super) fn run(spawner: &OwnedFd, nest: Pid, prepare: &Prepare) -> Result<(), StepError> {
    let children = watch_children().at(Step::Process, "watching children")?;
    if !prepare.is_stem {
        confine(prepare)?;
    }
    let mut receiver = Receiver::new();
    let mut stays = false;
    // Forgotten when it has ended, for its number may come again.
    let mut nest = Some(nest);
    loop {
        // First, for what ended before it was watched made no event.
        if let Some(status) = collect(nest)? {
            nest = None;
            // The word was sent before the nest could become anything.
            while let Heard::Word(word, files) = hear(spawner, &mut receiver) {
                stays |= obey(spawner, &word, &files, prepare)?;
            }
            report(spawner, &Report::Ended { status: status.as_raw() });
            if !stays {
                return Ok(());
            }
        }
        let mut polls =
            [PollFd::new(&children, PollFlags::IN), PollFd::new(spawner, PollFlags::IN)];
        rustix::io::retry_on_intr(|| poll(&mut polls, None)).at(Step::Process, "poll")?;
        let is_heard = !polls[1].revents().is_empty();
        if !polls[0].revents().is_empty() {
            // How many have ended is asked of wait(2); this only makes it wait again.
            let mut event = [0; 128];
            let _ = rustix::io::read(&children, &mut event);
        }
        if is_heard {
            match hear(spawner, &mut receiver) {
                Heard::Word(word, files) => stays |= obey(spawner, &word, &files, prepare)?,
                Heard::Nothing => {}
                // Nobody is left to tell, and nothing may outlive the spawner.
                Heard::Closed => return Ok(()),
            }
        }
    }
}

/// Collects everyone who has ended; the status of the nest when it is among them.
fn collect(nest: Option<Pid>) -> Result<Option<WaitStatus>, StepError> {
    let mut ended = None;
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if Some(pid) == nest => ended = Some(status),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) | Err(Errno::CHILD) => return Ok(ended),
            Err(error) => return Err(StepError::new(Step::Process, "wait", &error.into())),
        }
    }
}

enum Heard {
    Word(Word, Vec<OwnedFd>),
    Nothing,
    Closed,
}

fn hear(spawner: &OwnedFd, receiver: &mut Receiver) -> Heard {
    match receiver.receive(spawner, RecvFlags::DONTWAIT) {
        Ok(Some((bytes, files))) => match packet::decode(bytes) {
            Ok(word) => Heard::Word(word, files),
            // Not our spawner's words: it has gone, whoever speaks.
            Err(_) => Heard::Closed,
        },
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Heard::Nothing,
        Ok(None) | Err(_) => Heard::Closed,
    }
}

/// True when the word is to stay.
fn obey(
    spawner: &OwnedFd,
    word: &Word,
    files: &[OwnedFd],
    prepare: &Prepare,
) -> Result<bool, StepError> {
    match word {
        Word::Stay => Ok(true),
        &Word::Move { child, pid } => {
            let pid = pid.to_string();
            let moved =
                files.iter().try_for_each(|file| rustix::io::write(file, pid.as_bytes()).map(drop));
            let errno = moved.err().map_or(0, Errno::raw_os_error);
            report(spawner, &Report::Moved { child, errno });
            Ok(false)
        }
        Word::Furnish { mounts, tmp_bytes, proxied } => {
            let listener = furnish(mounts, files, *tmp_bytes, *proxied, prepare)?;
            let beside: Vec<_> = listener.iter().map(AsFd::as_fd).collect();
            packet::send_message(spawner, &Report::Furnished, &beside)
                .at(Step::Process, "report")?;
            Ok(false)
        }
    }
}

/// Mounts what a stem cell is to become, and gives up every right. Gives the listener of a proxied one.
fn furnish(
    mounts: &[String],
    trees: &[OwnedFd],
    tmp_bytes: u64,
    proxied: bool,
    prepare: &Prepare,
) -> Result<Option<OwnedFd>, StepError> {
    // Its package until now was ours.
    steps::root::take_away(PACKAGE_DIR)?;
    for (tree, inside) in trees.iter().zip(mounts) {
        steps::root::add(tree.as_fd(), inside)?;
    }
    steps::root::seal(tmp_bytes)?;
    let listen = || steps::namespaces::listen_for_proxy(&prepare.steps);
    let listener = proxied.then(listen).transpose()?;
    confine(prepare)?;
    Ok(listener)
}

/// It shares the namespaces with the tenant's code, so it keeps no right that this could take.
fn confine(prepare: &Prepare) -> Result<(), StepError> {
    let has = |step| prepare.steps.contains(&step);
    if has(Step::Identity) && !prepare.rootless {
        // Without a process-id namespace our death has to take the function along by a signal,
        // and the kernel asks whether we might send it: only to our own id.
        let is_first = has(Step::Process);
        let id = if is_first { prepare.reaper_uid } else { prepare.uid };
        steps::identity::become_id(id)?;
    }
    steps::privileges::drop_capabilities()
        .map_err(|error| StepError::new(Step::Capabilities, "reaper", &error))?;
    steps::privileges::promise_no_new_privileges()?;
    steps::privileges::hide()?;
    steps::privileges::die_with_parent()?;
    if has(Step::Seccomp) {
        steps::seccomp::filter()?;
    }
    Ok(())
}
