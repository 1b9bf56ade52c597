//! A zygote and what is forked from it, as the node holds them.
//!
//! What spawner, zygote and child say to each other, and what stands between siblings, is in
//! [`protocol::zygote`](crate::protocol::zygote).

use std::io;
use std::os::fd::OwnedFd;

use crate::cgroup::Usage;
use crate::exit::Exit;
use crate::protocol::order::Order;
use crate::ready::{NotReady, ReadyReport};
use crate::sandbox::Sandbox;
use crate::spawner::{HatchError, Spawner};

/// A process that has loaded the code of one version, to be forked. Dropping it ends it and what is
/// parked; sandboxes that serve live on.
#[derive(Debug)]
pub struct Zygote {
    sandbox: Sandbox,
    spawner: Spawner,
}

impl Zygote {
    pub(crate) fn new(sandbox: Sandbox, spawner: Spawner) -> Self {
        Self { sandbox, spawner }
    }

    /// The process as the host numbers it.
    pub fn pid(&self) -> i32 {
        self.sandbox.pid
    }

    /// As [`Sandbox::take_output`]: what its code prints while it is loaded.
    pub fn take_output(&self) -> Option<(OwnedFd, OwnedFd)> {
        self.sandbox.take_output()
    }

    /// As [`Sandbox::take_proxy`]: of the zygote and of all that is forked from it.
    pub fn take_proxy(&self) -> Option<OwnedFd> {
        self.sandbox.take_proxy()
    }

    /// Waits until it can be forked. Cancel safe.
    ///
    /// # Errors
    /// What it said itself, or how it ended. Code that must not be forked says the reason
    /// `unfit`.
    pub async fn ready(&self) -> Result<ReadyReport, NotReady> {
        self.sandbox.ready().await
    }

    /// Forks a sandbox and parks it: a process of its own, in its own control group, that waits
    /// to be [let go](Parked::go). `id` is from the same numbers as those of other sandboxes.
    ///
    /// There is no clock in here: a zygote that hangs lets its caller wait. Cancel safe: dropped
    /// on the way, the child ends as soon as it is there.
    ///
    /// # Errors
    /// The step that failed; nothing of the child is left then.
    pub async fn park(&self, id: u64) -> Result<Parked, HatchError> {
        Ok(Parked { sandbox: self.spawner.park(self.sandbox.id(), id).await? })
    }

    /// Waits for the end of the zygote's own process, whether this handle lives or not.
    pub fn exited(&self) -> impl Future<Output = Exit> + Send + use<> {
        self.sandbox.exited()
    }

    /// What it uses: mostly memory, which its children share as long as they do not write to
    /// it.
    ///
    /// # Errors
    /// As [`Sandbox::usage`].
    pub fn usage(&self) -> io::Result<Usage> {
        self.sandbox.usage()
    }
}

/// A sandbox that is forked and waits. Dropping it ends it.
#[derive(Debug)]
pub struct Parked {
    sandbox: Sandbox,
}

impl Parked {
    /// Lets it serve as the sandbox `name`: 1 to 64 letters, digits, `-`, `_` and `.`. It will
    /// say when it is [ready](Sandbox::ready), unless it has ended meanwhile.
    pub fn go(self, name: &str) -> Sandbox {
        let (id, sandbox) = (self.sandbox.id(), name.to_owned());
        self.sandbox.order(&Order::Go { id, sandbox });
        self.sandbox
    }

    /// Waits for its end. Cancel safe.
    pub async fn exited(&self) -> Exit {
        self.sandbox.exited().await
    }

    /// True once it has ended: with its zygote, mostly.
    pub fn has_ended(&self) -> bool {
        self.sandbox.has_ended()
    }

    /// What it uses.
    ///
    /// # Errors
    /// As [`Sandbox::usage`].
    pub fn usage(&self) -> io::Result<Usage> {
        self.sandbox.usage()
    }
}
