//! A network of its own for whoever enters it.

use std::fs::File;
use std::io;
use std::panic::resume_unwind;
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

/// A network namespace without a name: it ends with the last program in it and the last descriptor of it, whatever becomes of the
/// test that made it.
#[derive(Debug)]
pub(super) struct Space(File);

impl Space {
    /// A new one, with nothing in it but a loopback that is down.
    pub(super) fn new() -> io::Result<Self> {
        // On a thread that ends: whoever has left a namespace does not come back by itself.
        let made = thread::scope(|scope| {
            let make = || {
                unshare(CloneFlags::CLONE_NEWNET)?;
                File::open("/proc/thread-self/ns/net")
            };
            scope.spawn(make).join()
        });
        made.unwrap_or_else(|panic| resume_unwind(panic)).map(Self)
    }

    /// Does `work` in it. Programs and threads that are started there stay there, and so do sockets.
    pub(super) fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let done = thread::scope(|scope| {
            let enter_and_work = || {
                setns(&self.0, CloneFlags::CLONE_NEWNET).expect("who may make one may enter it");
                work()
            };
            scope.spawn(enter_and_work).join()
        });
        done.unwrap_or_else(|panic| resume_unwind(panic))
    }
}
