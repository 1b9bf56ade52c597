//! What sandboxes say of themselves, and their end.

use std::io;
use std::os::fd::AsFd;

use rustix::net::RecvFlags;
use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus, waitid};

use super::keeper::{Keeper, Source};
use super::resident::{Resident, Stage};
use crate::clock::now_ns;
use crate::exit::Exit;
use crate::protocol::event::Event;
use crate::protocol::packet;
use crate::protocol::plan::Report;
use crate::steps::{Step, StepError};

impl Keeper {
    /// One of the two halves of a sandbox has something to say, or has closed its socket.
    /// False when there is no more to hear for now.
    pub(super) fn hear(&mut self, key: u64, source: Source) -> bool {
        let Some(resident) = self.residents.get_mut(&key) else {
            return false;
        };
        let socket = match source {
            Source::Nest => &mut resident.nest,
            Source::Reaper | Source::Ended => &mut resident.reaper,
        };
        let Some(open) = socket.as_ref() else {
            return false;
        };
        match self.receiver.receive(open, RecvFlags::DONTWAIT) {
            Ok(Some((bytes, attached))) => {
                let mut has_ended = false;
                let has_failed = match packet::decode(bytes) {
                    Ok(Report::Moved { child, errno }) => {
                        self.moved(key, child, errno);
                        return true;
                    }
                    Ok(Report::Furnished) => {
                        self.furnished(key, attached);
                        return true;
                    }
                    Ok(report) => {
                        has_ended = matches!(report, Report::Ended { .. });
                        resident.hear(report, attached, now_ns())
                    }
                    Err(error) => {
                        // Not our program's words any more: whoever speaks has to go.
                        resident.kill();
                        resident.fail(StepError::new(Step::Process, "report", &error))
                    }
                };
                if resident.stage == Stage::Parked {
                    self.nests.park(key);
                }
                if has_failed {
                    self.announce(key);
                }
                if has_ended {
                    self.zygote_ended(key);
                }
                true
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            // Closed: no more to come from this half. Ours closes too, which takes it out of
            // epoll, as it does for everything else of a sandbox.
            Ok(None) | Err(_) => {
                *socket = None;
                if source == Source::Nest && resident.nest_closed() {
                    self.announce(key);
                }
                false
            }
        }
    }

    /// Tells the node how a start came out. A nest that failed before anybody wanted it is no
    /// more than a note.
    pub(super) fn announce(&mut self, key: u64) {
        let Some(resident) = self.residents.get_mut(&key) else {
            return;
        };
        let proxy = resident.proxy.take();
        let id = resident.guest.as_ref().map(|guest| guest.id);
        let event = match (&resident.stage, &resident.guest) {
            (Stage::Running, Some(guest)) => Event::Hatched {
                id: guest.id,
                pid: resident.function_pid(),
                groups: resident.groups.clone(),
                tier: guest.tier,
                phases: guest.clock.phases(now_ns()),
            },
            (Stage::Failed(error), Some(guest)) => {
                Event::Failed { id: guest.id, error: error.clone() }
            }
            (Stage::Failed(error), None) => {
                let error = error.clone();
                if self.nests.forget(key) {
                    self.regret(&error);
                }
                return;
            }
            (Stage::Preparing | Stage::Parked | Stage::Executing | Stage::Running, _) => return,
        };
        self.starting.remove(&key);
        let attached: Vec<_> = proxy.iter().map(AsFd::as_fd).collect();
        self.tell(&event, &attached);
        // A start that has failed is over for the node: its id may come again.
        if let (Event::Failed { .. }, Some(id)) = (event, id) {
            self.keys.remove(&id);
        }
    }

    /// The first process of a sandbox has ended: with a process-id namespace, all have.
    pub(super) fn bury(&mut self, key: u64) -> io::Result<()> {
        // Its end may be seen before its last words: they come first.
        while self.hear(key, Source::Nest) {}
        while self.hear(key, Source::Reaper) {}
        let Some(resident) = self.residents.get_mut(&key) else {
            return Ok(());
        };
        let pidfd = WaitId::PidFd(resident.child.pidfd.as_fd());
        let ended = waitid(pidfd, WaitIdOptions::EXITED)?;
        let status = resident.status.or(ended.as_ref().map(status)).unwrap_or(libc::SIGKILL);
        let oom_kills = self.ground.groups.oom_kills(&resident.groups).unwrap_or(0);
        let exit = Exit::judge(status, oom_kills, resident.was_told);
        let was_running = resident.stage == Stage::Running;
        let error = StepError { step: Step::Process, errno: 0, detail: exit.to_string() };
        if resident.fail(error) {
            self.announce(key);
        }
        let Some(Resident { groups, seat, guest, .. }) = self.residents.remove(&key) else {
            return Ok(());
        };
        self.nests.forget(key);
        self.starting.remove(&key);
        let id = guest.map(|guest| guest.id);
        if let Some(id) = id {
            self.keys.remove(&id);
        }
        let event = id.filter(|_| was_running).map(|id| Event::Exited { id, exit });
        self.leaving.add(groups, Some(seat), event);
        // They have ended with their nest; those that were never seen are told of here.
        self.end_children(key, |_| true);
        Ok(())
    }
}

/// The word of wait(2) for what waitid(2) tells.
fn status(ended: &WaitIdStatus) -> i32 {
    match (ended.exit_status(), ended.terminating_signal()) {
        (Some(code), _) => code << 8,
        (None, signal) => signal.unwrap_or(libc::SIGKILL),
    }
}
