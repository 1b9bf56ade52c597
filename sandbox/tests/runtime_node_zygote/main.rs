//! A Node zygote and its children: forked by a test that plays the spawner, called with a real client.

#![allow(clippy::unwrap_used, reason = "a test that cannot start has failed")]

mod abilities;
mod ends;
mod fork;
mod load;
mod random;
#[path = "../runtime_support/mod.rs"]
mod runtime_support;
mod servers;
mod siblings;
mod trial;
mod unfit;
mod warmup;
