//! What the tests in this folder share: real programs on free ports, asked by real clients, and an audit of the machine
//! before each start and after each end.
//!
//! Reading order: [`Project`] a project in a folder of its own; [`Up`] `hatchway up` over it, and [`Pair`] a gateway
//! and a node, over a file or an [`Etcd`]; [`Client`] calls, and [`Raw`] where bytes matter; [`Admin`] what the programs say of themselves;
//! [`hosts`] machines of their own, with a network that fails as it is told; [`audit`] what nobody may leave behind. Waiting is [`eventually`] or a line of output, never a guess.

mod admin;
pub mod audit;
mod authority;
mod client;
mod draw;
mod etcd;
pub mod hosts;
mod output;
mod pair;
pub mod proc;
mod program;
mod programs;
mod project;
mod puppet;
mod raw;
mod up;
mod wait;

pub use admin::{Admin, Metrics, Sandbox};
pub use authority::{Authority, GATEWAY, NODE, Shown};
pub use client::{Answer, Client, Problem, agent};
pub use draw::{Draw, Zipf};
pub use etcd::Etcd;
pub use output::{Output, Source};
pub use pair::{GatewayProgram, NodeProgram, Pair, apply, apply_to, in_file};
pub use program::Program;
pub use programs::{path as program_path, python_with_packages};
pub use project::Project;
pub use puppet::{PUPPET, PUPPET_PY, SERVER, puppet};
pub use raw::{Head, Raw};
pub use up::Up;
pub use wait::{PATIENCE, duration, eventually, together};

/// Says past the capture of test output what this machine lacks, so that a skipped test is not taken for a passed one.
pub fn skipped(test: &str, lacks: &str) {
    use std::io::Write;
    let text = format!("\nSKIPPED {test}: this machine lacks {lacks}\n");
    // Straight to the descriptor: the macros' output is captured.
    let _ = std::io::stderr().write_all(text.as_bytes());
}
