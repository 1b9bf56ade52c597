//! From a zygote to a sandbox: forked, moved into its own control group, parked, let go.
//!
//! The messages are those of [`protocol::zygote`](crate::protocol::zygote). Whatever the other
//! end says, what counts is what the kernel says of it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll;
use rustix::net::sockopt::set_socket_passcred;
use rustix::net::{RecvFlags, SendFlags};
use rustix::process::Pid;

use super::birth;
use super::fork::{Fork, ForkStage};
use super::keeper::{Keeper, Source};
use super::peer::Peer;
use crate::cgroup::{GroupPaths, file};
use crate::clock::now_ns;
use crate::protocol::event::Event;
use crate::protocol::packet;
use crate::protocol::plan::Word;
use crate::protocol::zygote::{Answer, Go, Prepare, Request};
use crate::steps::{AtStep, Step, StepError};
use crate::tier::Tier;

pub(super) fn step(detail: &str, errno: i32) -> StepError {
    StepError { step: Step::Process, errno, detail: detail.to_owned() }
}

impl Keeper {
    /// Has `zygote` fork a sandbox. `given` is standard output, standard error, listener and ready
    /// pipe. What goes wrong later is told by an event.
    ///
    /// # Errors
    /// What went wrong at once; nothing of it is left then.
    pub(super) fn park(
        &mut self,
        id: u64,
        zygote: u64,
        decided: u64,
        given: &[OwnedFd],
    ) -> Result<(), StepError> {
        let clock = self.check_in(id, decided)?;
        let zygote = self.keys.get(&zygote).copied();
        let zygote = zygote.ok_or_else(|| step("the zygote is gone", libc::ESRCH))?;
        self.next_key += 1;
        let key = self.next_key;
        let groups = birth::group(&self.ground, &key.to_string())?;
        match self.ask_for_child(key, zygote, &groups, given) {
            Ok(control) => {
                let fork = Fork {
                    id,
                    zygote,
                    groups,
                    control: Some(control),
                    process: None,
                    stage: ForkStage::Forking,
                    prepares: false,
                    clock,
                    was_told: false,
                    kept: None,
                };
                self.keys.insert(id, key);
                self.forks.insert(key, fork);
                Ok(())
            }
            Err(error) => {
                self.leaving.add(groups, None, None);
                Err(error)
            }
        }
    }

    fn ask_for_child(
        &mut self,
        key: u64,
        zygote: u64,
        groups: &GroupPaths,
        given: &[OwnedFd],
    ) -> Result<OwnedFd, StepError> {
        let gone = || step("no zygote of that id", libc::ESRCH);
        let resident = self.residents.get_mut(&zygote).ok_or_else(gone)?;
        let zygote = resident.zygote.as_mut().ok_or_else(gone)?;
        let awake = zygote.awake.take().map(|awake| (&resident.groups, awake));
        for (groups, limits) in awake.into_iter().chain([(groups, zygote.limits)]) {
            self.ground.groups.limit(groups, &limits).map_err(|error| StepError {
                step: Step::Group,
                errno: file::errno(&error),
                detail: "limits".to_owned(),
            })?;
        }
        let (control, theirs) = packet::pair().at(Step::Process, "control")?;
        set_socket_passcred(&control, true).at(Step::Process, "control")?;
        epoll::add(&self.epoll, &control, Source::Nest.of(key), epoll::EventFlags::IN)
            .at(Step::Process, "epoll")?;
        let socket = zygote.socket.as_ref().ok_or_else(gone)?;
        let [stdout, stderr, listener, ready] = given else {
            return Err(step("four descriptors make a sandbox", libc::EBADMSG));
        };
        let attached = [listener, ready, stdout, stderr, &theirs].map(AsFd::as_fd);
        let request = packet::encode(&Request::Fork(key)).at(Step::Process, "fork")?;
        // A zygote that does not read is told from one that is slow by its full buffer.
        packet::send(socket, &request, &attached, SendFlags::DONTWAIT).at(Step::Process, "fork")?;
        Ok(control)
    }

    /// A child has something to say, or has closed its control socket.
    pub(super) fn hear_child(&mut self, key: u64) {
        let Some(control) = self.forks.get(&key).and_then(|fork| fork.control.as_ref()) else {
            return;
        };
        let (answer, sender) = match self.receiver.receive_from(control, RecvFlags::DONTWAIT) {
            Ok(Some((bytes, _, sender))) => (packet::decode(bytes), sender),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Ok(None) => return self.fail_fork(key, step("the child has ended", 0)),
            Err(error) => (Err(error), None),
        };
        match (answer, sender) {
            (Ok(Answer::Here { here, prepare }), Some(sender)) if here == key => {
                if let Err(error) = self.move_child(key, sender, prepare) {
                    self.fail_fork(key, error);
                }
            }
            (Ok(Answer::Failed { failed, errno }), _) if failed == key => {
                self.fail_fork(key, step("fork", errno));
            }
            _ => self.fail_fork(key, step("a child that says something else", libc::EBADMSG)),
        }
    }

    /// The child is there: into its own group with it.
    fn move_child(&mut self, key: u64, sender: Pid, prepares: bool) -> Result<(), StepError> {
        let fork = self.forks.get_mut(&key).expect("it has just been heard");
        if fork.stage != ForkStage::Forking {
            return Err(step("a child that is there twice", libc::EBADMSG));
        }
        let resident = self.residents.get(&fork.zygote);
        let resident = resident.ok_or_else(|| step("the zygote is gone", libc::ESRCH))?;
        let peer = Peer::find(sender, &resident.groups).at(Step::Process, "a child of a zygote")?;
        let inner = peer.inner;
        let data = Source::Ended.of(key);
        epoll::add(&self.epoll, &peer.pidfd, data, epoll::EventFlags::IN)
            .at(Step::Process, "epoll")?;
        fork.process = Some(peer);
        fork.stage = ForkStage::Moving;
        fork.prepares = prepares;
        let files = fork.groups.dirs().into_iter();
        let files: io::Result<Vec<_>> =
            files.map(|dir| file::open_for_writing(dir, "cgroup.procs")).collect();
        let files = files.at(Step::Join, "")?;
        let attached: Vec<_> = files.iter().map(AsFd::as_fd).collect();
        let word = Word::Move { child: key, pid: inner };
        let reaper = resident.reaper.as_ref();
        let reaper = reaper.ok_or_else(|| step("the nest is gone", libc::ESRCH))?;
        packet::send_message(reaper, &word, &attached).at(Step::Join, "")
    }

    /// The first process of a nest has moved a child, or could not.
    pub(super) fn moved(&mut self, nest: u64, child: u64, errno: i32) {
        let Some(fork) = self.forks.get_mut(&child).filter(|fork| fork.zygote == nest) else {
            return;
        };
        if fork.stage != ForkStage::Moving {
            return;
        }
        if errno != 0 {
            let error = StepError { step: Step::Join, errno, detail: String::new() };
            return self.fail_fork(child, error);
        }
        fork.stage = ForkStage::Parked;
        fork.clock.executing = now_ns();
        if let (true, Some(control)) = (fork.prepares, &fork.control) {
            // One that is gone is told of by its end.
            let _ = packet::send_message(control, &Prepare { prepare: child }, &[]);
        }
        let hatched = Event::Hatched {
            id: fork.id,
            pid: fork.process.as_ref().map_or(0, |process| process.pid),
            groups: fork.groups.clone(),
            tier: Tier::Fork,
            phases: fork.clock.phases(fork.clock.executing),
        };
        self.tell(&hatched, &[]);
    }

    /// Lets a parked child serve. One that is gone is told of by its end.
    pub(super) fn let_go(&mut self, id: u64, sandbox: String) {
        let Some(key) = self.keys.get(&id).copied() else {
            return;
        };
        let Some(fork) = self.forks.get_mut(&key) else {
            return;
        };
        if fork.stage != ForkStage::Parked {
            return;
        }
        fork.stage = ForkStage::Serving;
        if let Some(control) = fork.control.take() {
            let sent = packet::send_message(&control, &Go { go: key, sandbox }, &[]);
            if sent.is_err() {
                fork.kill();
            }
        }
    }
}
