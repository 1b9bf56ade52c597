//! A node put together: the pool, the pages, and what it does as a whole. [`prepare`](mod@prepare) is what comes before: its folder, its isolation, whoever
//! ran here before.

mod prepare;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Instant;

use hatchway_proto::catalog::Objects;
use hatchway_sandbox::{Grants, Spawner};
use hatchway_wire::listen::{Address, Listener};

use crate::admin::NodePages;
use crate::growth::{Growing, Part, Plans};
use crate::hatch::ProcessHatchery;
use crate::heir::{Door, Heir, House, ReplaceError};
use crate::logs::Logs;
use crate::named::{Named, Serving};
use crate::package::Packages;
use crate::pool::Pool;
use crate::state::StateError;
use crate::zygote::Zygotes;

pub use prepare::{Prepared, Succession, Taken, prepare};

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The state folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// A folder that packages may come from.
    #[error("packages cannot come from {}", path.display())]
    Packages {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The helper programs.
    #[error("the spawner cannot be started")]
    Spawner(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Whom to become.
    #[error("cannot become {user}")]
    Identity {
        /// Whom.
        user: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The daemon that is to be replaced.
    #[error(transparent)]
    Replace(#[from] ReplaceError),
    /// A thread or a runtime.
    #[error("cannot start the node's thread")]
    Thread(#[source] io::Error),
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    /// Its sandboxes.
    pub pool: Pool<ProcessHatchery>,
    /// What functions print.
    pub logs: Logs,
    /// The files of its versions.
    pub packages: Packages,
    zygotes: Zygotes,
    named: Mutex<Named>,
    part: Mutex<Part>,
    /// What the machine gives and what it does not.
    pub grants: Grants,
    /// What it can start: `command`, and the interpreters that the machine has.
    pub runtimes: Vec<&'static str>,
    spawner: Spawner,
    run_dir: PathBuf,
    lock: OwnedFd,
    /// Another daemon takes over: the spawner is not to be stopped.
    leaves: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Node {
    /// Serves the versions of `objects` that a release may choose. What was named until now stays as well, until it is
    /// [forgotten](Self::forget): requests may still be on their way to it.
    pub fn apply(&self, objects: &Objects) {
        let serving = self.named().change(objects, Instant::now());
        let new = serving.iter().filter(|serving| serving.is_new);
        self.packages.name(new.map(|serving| &serving.version.package));
        {
            let mut part = self.part();
            let rule = |it: &Serving| part.rule(it.id, &it.version.function, it.grows);
            let news = serving.iter().map(rule).filter(|is_news| *is_news).count();
            if news > 0 {
                let (shares, revision) = part.shares();
                self.pool.share(shares, revision);
            }
        }
        self.pool.serve(serving.into_iter().map(|it| (it.id, it.version, it.queue_depth)));
    }

    /// Retires the versions that the rules named last before `until`.
    pub fn forget(&self, until: Instant) {
        let gone = self.named().forget(until);
        self.packages.forget(gone.iter().map(|(_, version)| &version.package));
        for (id, _) in &gone {
            self.part().forget(id);
        }
        self.pool.retire(gone.into_iter().map(|(id, _)| id));
    }

    /// Since when the rules have not named what they named longest ago, and is served still.
    pub(crate) fn first_left(&self) -> Option<Instant> {
        self.named().first_left()
    }

    /// These are the plans over all nodes, in which this one is called `name`: its part of them holds from now on.
    pub(crate) fn go_by(&self, name: &str, plans: Plans) {
        let mut part = self.part();
        part.plan(name, plans.plans, plans.revision);
        let (shares, revision) = part.shares();
        self.pool.share(shares, revision);
    }

    /// The versions here whose functions grow.
    pub(crate) fn growing(&self) -> Growing {
        self.part().growing().clone()
    }

    fn part(&self) -> MutexGuard<'_, Part> {
        self.part.lock().expect("nothing panics while it looks at plans")
    }

    fn named(&self) -> MutexGuard<'_, Named> {
        self.named.lock().expect("nothing panics while it looks at what is named")
    }

    /// The pages of this node.
    pub fn pages(&self) -> NodePages {
        NodePages {
            pool: self.pool.clone(),
            logs: self.logs.clone(),
            zygotes: self.zygotes.clone(),
            packages: self.packages.clone(),
        }
    }

    /// Opens the door by which another daemon may take the place of this one, which listens on `listen`.
    ///
    /// # Errors
    /// As bind(2).
    pub fn open_door(&self, listen: &Address) -> io::Result<Door> {
        let (spawner, grants) = (self.spawner.clone(), self.grants.clone());
        Door::open(&self.run_dir, House { listen: listen.clone(), spawner, grants })
    }

    /// Leaves all sandboxes to `heir`, and gives it the listeners of this daemon. From here on nothing is commanded; what runs is
    /// relayed to its end, of which `heir` has to be [told](Heir::follow).
    ///
    /// # Errors
    /// When it is gone: its sandboxes end unless another daemon comes in time.
    pub fn hand_over(
        &self,
        heir: &Heir,
        listeners: &[Listener],
        (address, instance): (&Address, u128),
    ) -> io::Result<()> {
        self.leaves.store(true, Ordering::SeqCst);
        // Before the pool drops the first of them.
        self.spawner.fall_silent();
        let estate = self.pool.leave().blocking_recv().map_err(io::Error::other)?;
        self.logs.leave();
        self.spawner.leave();
        tracing::info!(sandboxes = estate.len(), "another daemon takes over");
        heir.give(listeners, self.lock.as_fd(), (address, instance), &estate)
    }

    /// Waits until the last call is over, of a daemon that has handed over.
    pub fn finish(self) {
        if self.thread.join().is_err() {
            tracing::error!("the node's thread ended by a panic");
        }
    }

    /// Says that it will drain, and that no other daemon takes over: however this one ends, so does everything.
    pub fn farewell(&self) {
        self.spawner.farewell();
    }

    /// Ends every sandbox once its requests have ended, then the spawner. Waits for all of it.
    pub fn drain(self) {
        self.farewell();
        self.pool.drain();
        self.finish();
    }
}
