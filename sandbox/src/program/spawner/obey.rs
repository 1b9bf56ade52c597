//! Orders, carried out one by one.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::door;
use super::keeper::Keeper;
use crate::cgroup::GroupPaths;
use crate::protocol::event::Event;
use crate::protocol::order::{Door, Order};

impl Keeper {
    pub(super) fn obey(&mut self, order: Order, attached: Vec<OwnedFd>) -> io::Result<()> {
        match order {
            Order::Hatch { spec, decided_ns, stem } => {
                let id = spec.id;
                let hatched = match stem {
                    None => self.hatch(&spec, decided_ns, &attached),
                    Some(stem) => self.hatch_in_stem(&spec, decided_ns, stem, attached),
                };
                if let Err(error) = hatched {
                    self.tell(&Event::Failed { id, error }, &[]);
                }
            }
            Order::Stem { spec, decided_ns } => {
                let id = spec.id;
                if let Err(error) = self.make_stem(&spec, decided_ns, attached) {
                    self.tell(&Event::Failed { id, error }, &[]);
                }
            }
            Order::Zygote { spec, decided_ns } => {
                let id = spec.id;
                if let Err(error) = self.make_zygote(&spec, decided_ns, attached) {
                    self.tell(&Event::Failed { id, error }, &[]);
                }
            }
            Order::Park { id, zygote, decided_ns } => {
                if let Err(error) = self.park(id, zygote, decided_ns, &attached) {
                    self.tell(&Event::Failed { id, error }, &[]);
                }
            }
            Order::Go { id, sandbox } => self.let_go(id, sandbox),
            Order::Terminate { id } => self.terminate(id),
            Order::Kill { id } => self.kill(id),
            Order::LimitCpu { id, cpu_millis } => self.limit_cpu(id, cpu_millis),
            Order::Keep { id, record } => self.keep(id, record, attached),
            Order::Serves { id, door } => self.serves(id, door),
            Order::Connect { id, call, door } => self.connect(id, call, door),
            Order::Farewell => self.heirs.close(),
            Order::HandOver => return self.lose_node(),
            Order::Stop => return self.stop(),
        }
        Ok(())
    }

    fn terminate(&mut self, id: u64) {
        let Some(key) = self.keys.get(&id) else {
            return;
        };
        if let Some(fork) = self.forks.get_mut(key) {
            fork.terminate();
        } else if let Some(resident) = self.residents.get_mut(key) {
            resident.terminate();
        }
    }

    pub(super) fn kill(&mut self, id: u64) {
        let Some(key) = self.keys.get(&id).copied() else {
            return;
        };
        if self.forks.contains_key(&key) {
            self.kill_child(key);
        } else if let Some(resident) = self.residents.get_mut(&key) {
            resident.end();
        }
    }

    fn groups_of(&self, id: u64) -> Option<&GroupPaths> {
        let key = self.keys.get(&id)?;
        let fork = self.forks.get(key).map(|fork| &fork.groups);
        fork.or_else(|| self.residents.get(key).map(|resident| &resident.groups))
    }

    fn limit_cpu(&mut self, id: u64, cpu_millis: u32) {
        let Some(group) = self.groups_of(id).cloned() else {
            return;
        };
        // One that has ended meanwhile needs no limit.
        if let Err(error) = self.ground.groups.limit_cpu(&group, cpu_millis)
            && error.kind() != io::ErrorKind::NotFound
        {
            let message = format!("cpu limit of sandbox {id} not changed: {error}");
            self.tell(&Event::Note { message }, &[]);
        }
    }

    fn connect(&mut self, id: u64, call: u64, door: Door) {
        let gone = || io::Error::from_raw_os_error(libc::ESRCH);
        let key = self.keys.get(&id);
        let resident = key.and_then(|key| self.residents.get(key)).ok_or_else(gone);
        match resident.and_then(|resident| door::open(resident, door, &self.ground.steps)) {
            Ok(socket) => self.tell(&Event::Connected { call, errno: 0 }, &[socket.as_fd()]),
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                self.tell(&Event::Connected { call, errno }, &[]);
            }
        }
    }
}
