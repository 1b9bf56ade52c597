//! From an order to a sandbox that starts: by a parked nest, or by a fresh one.

use std::os::fd::{AsFd, OwnedFd};

use super::birth::{self, Kind, Luggage};
use super::keeper::{Keeper, Source};
use super::resident::{Clock, Guest, Resident, Stage};
use super::seats;
use crate::cgroup::file;
use crate::clock::now_ns;
use crate::protocol::event::Event;
use crate::spec::{Entry, Network, SandboxSpec};
use crate::steps::{AtStep, Step, StepError};
use crate::tier::Tier;

impl Keeper {
    /// Starts a sandbox for `spec`. What goes wrong later is told by an event.
    ///
    /// # Errors
    /// What went wrong at once; nothing of it is left then, or it is on its way out.
    pub(super) fn hatch(
        &mut self,
        spec: &SandboxSpec,
        decided: u64,
        given: &[OwnedFd],
    ) -> Result<(), StepError> {
        let clock = self.check_in(spec.id, decided)?;
        let luggage = birth::pack(&self.ground, spec)?;
        let key = match self.nests.take(spec.network.of_nest(), clock.received) {
            Some(key) => key,
            None => self.start_nest(spec.network.into())?,
        };
        self.move_in(key, spec, clock, given, luggage)?;
        self.starting.insert(key);
        Ok(())
    }

    /// Looks after an order: the id has to be new.
    pub(super) fn check_in(&mut self, id: u64, decided: u64) -> Result<Clock, StepError> {
        let received = now_ns();
        if self.keys.contains_key(&id) {
            return Err(StepError {
                step: Step::Check,
                errno: libc::EEXIST,
                detail: format!("id {id} lives already"),
            });
        }
        // Forks share the user id of their zygote, and are counted all the same.
        if self.keys.len() >= seats::MOST as usize {
            return Err(StepError {
                step: Step::Check,
                errno: libc::EAGAIN,
                detail: format!("{} sandboxes live already", self.keys.len()),
            });
        }
        self.ids.give(id);
        Ok(Clock { decided, received, executing: received })
    }

    /// Makes the nest `key` become what `spec` says.
    pub(super) fn move_in(
        &mut self,
        key: u64,
        spec: &SandboxSpec,
        clock: Clock,
        given: &[OwnedFd],
        mut luggage: Luggage,
    ) -> Result<(), StepError> {
        let resident = self.residents.get_mut(&key).expect("a nest is in the table");
        let private = luggage.private.take();
        let tier = if resident.stage == Stage::Parked { Tier::Nest } else { Tier::Fresh };
        let limits = match resident.zygote {
            Some(_) => birth::zygote_limits(spec),
            None if resident.stem.is_some() => birth::stem_limits(spec),
            None => birth::limits(spec),
        };
        let limited = self.ground.groups.limit(&resident.groups, &limits);
        let assigned = limited
            .map_err(|error| StepError {
                step: Step::Group,
                errno: file::errno(&error),
                detail: "limits".to_owned(),
            })
            .and_then(|()| match &resident.nest {
                Some(nest) => birth::assign(&self.ground, nest.as_fd(), spec, given, &luggage),
                None => Err(StepError {
                    step: Step::Process,
                    errno: 0,
                    detail: "a nest that ended while it waited".to_owned(),
                }),
            });
        if let Err(error) = assigned {
            // Told from here; its end shall not tell it again.
            resident.fail(error.clone());
            resident.kill();
            return Err(error);
        }
        let port = match spec.entry {
            Entry::Inherited => 0,
            Entry::Probed { port } => port,
        };
        resident.guest = Some(Guest { id: spec.id, private, port, tier, clock, kept: None });
        self.keys.insert(spec.id, key);
        Ok(())
    }

    /// Makes a nest to be kept. A failure is told once and followed by a pause.
    pub(super) fn make_nest(&mut self, network: Network) {
        match self.start_nest(network.into()) {
            Ok(key) => self.nests.grow(network, key, now_ns()),
            Err(error) => self.regret(&error),
        }
    }

    pub(super) fn regret(&mut self, error: &StepError) {
        self.nests.pause(now_ns());
        let message = format!("no nest could be prepared: {error}");
        self.tell(&Event::Note { message }, &[]);
    }

    /// Starts a process that isolates itself in a group of its own; gives its key.
    pub(super) fn start_nest(&mut self, kind: Kind) -> Result<u64, StepError> {
        self.next_key += 1;
        let key = self.next_key;
        let seat = self.seats.take().ok_or_else(|| StepError {
            step: Step::Identity,
            errno: libc::EAGAIN,
            detail: "every user id of this node is taken".to_owned(),
        })?;
        let group = match birth::group(&self.ground, &key.to_string()) {
            Ok(group) => group,
            Err(error) => {
                self.seats.give_back(seat);
                return Err(error);
            }
        };
        let uid = self.ground.charter.uid_base + 1 + seat;
        let newborn = match birth::prepare(&self.ground, &group, uid, kind) {
            Ok(newborn) => newborn,
            Err(error) => {
                self.leaving.add(group, Some(seat), None);
                return Err(error);
            }
        };
        let watched = self
            .watch(key, &newborn.nest, Source::Nest)
            .and_then(|()| self.watch(key, &newborn.reaper, Source::Reaper))
            .and_then(|()| self.watch(key, &newborn.child.pidfd, Source::Ended))
            .at(Step::Process, "epoll");
        if let Err(error) = watched {
            newborn.abandon();
            self.leaving.add(group, Some(seat), None);
            return Err(error);
        }
        let resident = Resident {
            groups: group,
            child: newborn.child,
            reaper: Some(newborn.reaper),
            nest: Some(newborn.nest),
            proxy: None,
            function: None,
            network: kind.network,
            seat,
            stage: Stage::Preparing,
            guest: None,
            zygote: None,
            stem: None,
            status: None,
            was_told: false,
        };
        self.residents.insert(key, resident);
        Ok(key)
    }
}
