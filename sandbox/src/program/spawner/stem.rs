//! Stem cells: a runtime that boots in advance, and becomes a function when one is wanted.
//!
//! Made like any sandbox, in a nest of its own; what differs is told in [`protocol::stem`](crate::protocol::stem).

use std::os::fd::{AsFd, OwnedFd};

use rustix::net::SendFlags;

use super::birth::{self, Kind};
use super::keeper::Keeper;
use super::park::step;
use super::resident::{Guest, Stage, Stem};
use crate::cgroup::file;
use crate::clock::now_ns;
use crate::exit::{Exit, ExitKind};
use crate::protocol::event::Event;
use crate::protocol::packet;
use crate::spec::SandboxSpec;
use crate::steps::{AtStep, Step, StepError};
use crate::tier::Tier;

impl Keeper {
    /// Makes a stem cell. `given` is standard output, standard error and the ready pipe.
    ///
    /// # Errors
    /// What went wrong at once; nothing of it is left then, or it is on its way out.
    pub(super) fn make_stem(
        &mut self,
        spec: &SandboxSpec,
        decided: u64,
        mut given: Vec<OwnedFd>,
    ) -> Result<(), StepError> {
        self.can_furnish()?;
        let clock = self.check_in(spec.id, decided)?;
        let luggage = birth::pack(&self.ground, spec)?;
        let (socket, theirs) = packet::pair().at(Step::Process, "stem cell")?;
        given.insert(2, theirs);
        let key = self.start_nest(Kind { is_stem: true, ..spec.network.into() })?;
        let resident = self.residents.get_mut(&key).expect("it has just been started");
        resident.stem = Some(Stem { socket, order: None });
        self.move_in(key, spec, clock, &given, luggage)
    }

    /// What a cell becomes is mounted by the first process of its nest, in a root of its own.
    fn can_furnish(&self) -> Result<(), StepError> {
        if [Step::Root, Step::Process].iter().all(|step| self.ground.steps.contains(step)) {
            return Ok(());
        }
        Err(StepError {
            step: Step::Check,
            errno: libc::EOPNOTSUPP,
            detail: "a stem cell, without a root and a process-id namespace".to_owned(),
        })
    }

    /// Has the cell `stem` become what `spec` says. What goes wrong later is told by an event.
    ///
    /// # Errors
    /// What went wrong at once: a cell that has ended, mostly.
    pub(super) fn hatch_in_stem(
        &mut self,
        spec: &SandboxSpec,
        decided: u64,
        stem: u64,
        given: Vec<OwnedFd>,
    ) -> Result<(), StepError> {
        let clock = self.check_in(spec.id, decided)?;
        let luggage = birth::pack(&self.ground, spec)?;
        let gone = || step("no stem cell of that id", libc::ESRCH);
        let key = self.keys.get(&stem).copied().ok_or_else(gone)?;
        let resident = self.residents.get_mut(&key).ok_or_else(gone)?;
        let is_fit = resident.stage == Stage::Running
            && resident.network.of_nest() == spec.network.of_nest();
        let cell = resident.stem.as_mut().filter(|cell| is_fit && cell.order.is_none());
        let (cell, reaper) = cell.zip(resident.reaper.as_ref()).ok_or_else(gone)?;
        let limited = self.ground.groups.limit(&resident.groups, &birth::limits(spec));
        limited
            .map_err(|error| StepError {
                step: Step::Group,
                errno: file::errno(&error),
                detail: "limits".to_owned(),
            })
            .and_then(|()| birth::furnish(reaper, spec, &luggage))?;
        cell.order = Some((birth::become_of(&self.ground, spec), given));
        resident.stage = Stage::Executing;
        resident.network = spec.network;
        let (id, tier) = (spec.id, Tier::Stem);
        resident.guest = Some(Guest { id, private: None, port: 0, tier, clock, kept: None });
        self.keys.remove(&stem);
        self.keys.insert(id, key);
        self.starting.insert(key);
        // It lives on as another: whoever had it as a cell has it no longer.
        let exit = Exit { kind: ExitKind::Code(0), detail: format!("has become {}", spec.name) };
        self.tell(&Event::Exited { id: stem, exit }, &[]);
        Ok(())
    }

    /// The root of a cell has all that it is to become; now it is told itself.
    pub(super) fn furnished(&mut self, key: u64, attached: Vec<OwnedFd>) {
        let Some(resident) = self.residents.get_mut(&key) else {
            return;
        };
        let Some(Stem { socket, order: Some((order, given)) }) = resident.stem.take() else {
            return;
        };
        let given: Vec<_> = given.iter().map(AsFd::as_fd).collect();
        let told = packet::encode(&order)
            .and_then(|bytes| packet::send(&socket, &bytes, &given, SendFlags::DONTWAIT))
            .at(Step::Process, "stem cell");
        match told {
            Ok(()) => {
                resident.proxy = attached.into_iter().next();
                resident.stage = Stage::Running;
                if let Some(guest) = &mut resident.guest {
                    guest.clock.executing = now_ns();
                }
            }
            Err(error) => {
                resident.fail(error);
                resident.kill();
            }
        }
        self.announce(key);
    }
}
