//! Zygotes: a process that has loaded its code, and sandboxes forked from it. Python, in a real
//! sandbox.

#![allow(clippy::unwrap_used, reason = "a test that cannot start has failed")]

#[path = "../common/mod.rs"]
mod common;
mod kit;

mod apps;
mod ends;
mod limits;
mod siblings;
mod starts;
