//! Zygotes: made like any sandbox, ended in two steps.
//!
//! A zygote is number 2 of its nest, and its children live in the nest as well. So its own end is
//! told when it happens, and the nest is ended when the last child has gone.

use std::os::fd::OwnedFd;

use super::birth;
use super::keeper::{Keeper, Source};
use super::resident::Zygote;
use crate::cgroup::Limits;
use crate::exit::Exit;
use crate::grants::Backend;
use crate::protocol::event::Event;
use crate::protocol::packet;
use crate::protocol::plan::Word;
use crate::spec::SandboxSpec;
use crate::steps::{AtStep, Step, StepError};

impl Keeper {
    /// Makes a zygote. `given` is standard output, standard error and the ready pipe.
    ///
    /// # Errors
    /// What went wrong at once; nothing of it is left then, or it is on its way out.
    pub(super) fn make_zygote(
        &mut self,
        spec: &SandboxSpec,
        decided: u64,
        mut given: Vec<OwnedFd>,
    ) -> Result<(), StepError> {
        self.can_fork()?;
        let clock = self.check_in(spec.id, decided)?;
        let luggage = birth::pack(&self.ground, spec)?;
        let (socket, theirs) = packet::pair().at(Step::Process, "zygote")?;
        given.insert(2, theirs);
        // Not a parked one: those are for starts that somebody waits for.
        let key = self.start_nest(spec.network.into())?;
        let resident = self.residents.get_mut(&key).expect("it has just been started");
        let limits = birth::child_limits(spec);
        let own = birth::zygote_limits(spec);
        let awake = Some(Limits { weight_millis: limits.weight_millis, ..own });
        resident.zygote = Some(Zygote { socket: Some(socket), limits, awake });
        let stay = match &resident.reaper {
            Some(reaper) => {
                packet::send_message(reaper, &Word::Stay, &[]).at(Step::Process, "stay")
            }
            None => Ok(()),
        };
        if let Err(error) = stay {
            resident.fail(error.clone());
            resident.kill();
            return Err(error);
        }
        self.move_in(key, spec, clock, &given, luggage)
    }

    /// Siblings are told apart by their groups, and a nest is ended by its first process: a
    /// machine that gives neither has no zygotes.
    fn can_fork(&self) -> Result<(), StepError> {
        let has_groups = self.ground.groups.backend() != Backend::None;
        if has_groups && self.ground.steps.contains(&Step::Process) {
            return Ok(());
        }
        Err(StepError {
            step: Step::Check,
            errno: libc::EOPNOTSUPP,
            detail: "a zygote, without control groups and a process-id namespace".to_owned(),
        })
    }

    /// The zygote of a nest has ended, and has told how.
    pub(super) fn zygote_ended(&mut self, key: u64) {
        // That its program had taken over may not have been heard yet.
        while self.hear(key, Source::Nest) {}
        let Some(resident) = self.residents.get_mut(&key) else {
            return;
        };
        let Some(zygote) = &mut resident.zygote else {
            return;
        };
        zygote.socket = None;
        let status = resident.status.unwrap_or(libc::SIGKILL);
        let oom_kills = self.ground.groups.oom_kills(&resident.groups).unwrap_or(0);
        let exit = Exit::judge(status, oom_kills, resident.was_told);
        let error = StepError { step: Step::Process, errno: 0, detail: exit.to_string() };
        if resident.fail(error) {
            self.announce(key);
        } else if let Some(guest) = resident.guest.take() {
            self.keys.remove(&guest.id);
            self.tell(&Event::Exited { id: guest.id, exit }, &[]);
        }
        self.end_children(key, |is_serving| !is_serving);
        self.end_empty_nest(key);
    }

    /// Ends those children of a zygote that `which` says, by whether they serve.
    pub(super) fn end_children(&mut self, zygote: u64, which: impl Fn(bool) -> bool) {
        let children = self.forks.iter().filter(|(_, fork)| {
            fork.zygote == zygote && which(fork.stage == super::fork::ForkStage::Serving)
        });
        let children: Vec<u64> = children.map(|(key, _)| *key).collect();
        for child in children {
            self.kill_child(child);
        }
    }

    /// Ends the nest of a zygote that has ended, unless a child of it is left.
    pub(super) fn end_empty_nest(&mut self, key: u64) {
        let Some(resident) = self.residents.get_mut(&key) else {
            return;
        };
        let is_over = resident.zygote.as_ref().is_some_and(|zygote| zygote.socket.is_none());
        if is_over && !self.forks.values().any(|fork| fork.zygote == key) {
            resident.kill();
        }
    }
}
