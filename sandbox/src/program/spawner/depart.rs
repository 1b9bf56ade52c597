//! The end of a child of a zygote: told to, failed on the way, or by itself.

use rustix::net::SendFlags;

use super::fork::ForkStage;
use super::keeper::Keeper;
use super::park::step;
use super::peer::Peer;
use crate::exit::Exit;
use crate::protocol::event::Event;
use crate::protocol::packet;
use crate::protocol::zygote::Request;
use crate::steps::StepError;

/// What a child is said to have ended by when nobody can tell any more: its zygote is gone, and
/// so is what was left of it.
const UNKNOWN_STATUS: i32 = libc::SIGKILL;

impl Keeper {
    /// Ends a child wherever it has come to.
    pub(super) fn kill_child(&mut self, key: u64) {
        let Some(fork) = self.forks.get_mut(&key) else {
            return;
        };
        fork.kill();
        if fork.process.is_none() {
            self.fail_fork(key, step("was told to end", 0));
        }
    }

    /// Tells that a child will not start, and ends what there is of it.
    pub(super) fn fail_fork(&mut self, key: u64, error: StepError) {
        let Some(fork) = self.forks.get_mut(&key) else {
            return;
        };
        // Closed, it tells a child that has not been heard of yet to end.
        fork.control = None;
        let id = fork.id;
        let was_hatched = fork.is_hatched();
        fork.kill();
        if !was_hatched {
            if fork.stage != ForkStage::Failed {
                fork.stage = ForkStage::Failed;
                self.tell(&Event::Failed { id, error }, &[]);
                self.keys.remove(&id);
            }
            if self.forks.get(&key).is_some_and(|fork| fork.process.is_none()) {
                self.remove_fork(key, None);
            }
        }
    }

    /// The process of a child has ended.
    pub(super) fn bury_child(&mut self, key: u64) {
        let Some(fork) = self.forks.get(&key) else {
            return;
        };
        let status = fork.process.as_ref().and_then(Peer::status).unwrap_or(UNKNOWN_STATUS);
        let oom_kills = self.ground.groups.oom_kills(&fork.groups).unwrap_or(0);
        let exit = Exit::judge(status, oom_kills, fork.was_told);
        self.collect(fork.zygote, key);
        if fork.is_hatched() {
            let event = Event::Exited { id: fork.id, exit };
            return self.remove_fork(key, Some(event));
        }
        let error = step(&exit.to_string(), 0);
        self.fail_fork(key, error);
        self.remove_fork(key, None);
    }

    /// Has the zygote wait for a child whose end has been seen.
    fn collect(&self, zygote: u64, key: u64) {
        let zygote = self.residents.get(&zygote).and_then(|resident| resident.zygote.as_ref());
        let socket = zygote.and_then(|zygote| zygote.socket.as_ref());
        if let (Some(socket), Ok(bytes)) = (socket, packet::encode(&Request::Collect(key))) {
            // A zygote that does not read keeps what is left of its child, within its own limits.
            let _ = packet::send(socket, &bytes, &[], SendFlags::DONTWAIT);
        }
    }

    /// Takes a child off the table. `event` is told once nobody is left of it.
    fn remove_fork(&mut self, key: u64, event: Option<Event>) {
        let Some(fork) = self.forks.remove(&key) else {
            return;
        };
        self.keys.remove(&fork.id);
        self.leaving.add(fork.groups, None, event);
        self.end_empty_nest(fork.zygote);
    }
}
