//! One isolated process: its limits, its isolation, its start and its end.
//!
//! This crate knows no other of ours. It is a library for the node daemon and two small
//! programs. Reading order:
//!
//! 1. [`spec`]: what a sandbox is to be.
//! 2. [`spawner`]: the node's half: start the spawner, order a sandbox.
//! 3. [`sandbox`]: a running one: ready, connect, terminate, exited, usage.
//! 4. [`zygote`]: a process that has loaded its code, and sandboxes forked from it; [`stem`]: one that has booted, and becomes
//!    a sandbox.
//! 5. [`adopt`]: sandboxes that outlive the node that has started them.
//! 6. `protocol`: the packets between node, spawner and sandbox-init.
//! 7. [`program::spawner`]: the small privileged program and its one loop.
//! 8. [`program::init`]: the child that isolates itself and becomes the function.
//! 9. [`steps`]: the steps of isolation, each with why it stands before the next.
//! 10. `cgroup`: limits and measurement, version 2, version 1, none.
//! 11. `sys`: the only unsafe code.
//!
//! ```text
//!  node (threads, no privilege)      spawner (one thread, root)       sandbox
//!  Spawner::hatch ──── order ──────► group, clone ──── prepare ─────► number 1: namespaces, root
//!                                                                        ├─ reaper: waits
//!                                    ◄─────────────── parked ────────────┴─ nest: waits
//!                                          ─────────── assign ──────────► package, identity,
//!  Sandbox ◄────────── hatched ──────                                     seccomp, exec
//!  Sandbox::exited ◄── exited ────── group empty, out-of-memory? ◄─ ended
//! ```

pub mod adopt;
mod cgroup;
mod clock;
mod door;
mod equipment;
mod etc;
mod exit;
pub mod folder;
mod grants;
mod identity;
mod link;
mod outbox;
pub mod program;
pub mod programs;
mod protocol;
mod ready;
pub mod runtime;
pub mod sandbox;
pub mod spawner;
pub mod spec;
pub mod stem;
pub mod steps;
mod sys;
mod tier;
pub mod zygote;

pub use adopt::{Inheritance, Orphan};
pub use cgroup::Usage;
pub use exit::{Exit, ExitKind};
pub use grants::{Backend, Grant, Grants};
pub use identity::{Identity, IdentityError, drop_privileges};
#[cfg(any(test, feature = "test-support"))]
pub use protocol::check;
pub use protocol::order::Door;
pub use protocol::packet;
pub use ready::{NotReady, ReadyReport};
pub use sandbox::{Connection, Phases, Sandbox};
pub use spawner::{HatchError, LaunchError, Spawner, SpawnerConfig};
pub use spec::{Entry, Isolation, Network, SandboxSpec, SpecError};
pub use stem::StemCell;
pub use steps::{Step, StepError};
pub use tier::Tier;
pub use zygote::{Parked, Zygote};
