//! How each runtime is started: a typed description in, an argument vector and an environment out.
//!
//! `entry` says what a version runs; `plan` turns that into a [`StartPlan`], with a file per
//! runtime (`node`, `python`, `command`) for what differs, and `zygote` that of a process which
//! is forked instead of called, `stem` that of one that boots before it is known for whom; `trial` finds out whether this Node can be. `interpreter` finds
//! the real `node` and `python3` once, at start. `adapters` holds the small programs that run
//! inside the sandbox, around the function: they are embedded here and written to a folder that
//! sandboxes mount at `/hatchway`.
//!
//! But for the trial, nothing here starts a function or touches a sandbox: a plan is a value, so it
//! is tested without.

mod adapters;
mod command;
mod entry;
mod interpreter;
mod node;
mod plan;
mod python;
mod stem;
mod trial;
mod zygote;

pub use adapters::{Adapters, install_adapters};
pub use entry::{NodeEntry, PythonEntry, Runtime};
pub use interpreter::{Interpreter, InterpreterSettings, Interpreters, Missing, Version};
pub use plan::{Assignment, Code, Layout, PORT, StartPlan};
pub use stem::StemKind;
pub use trial::Unforkable;
