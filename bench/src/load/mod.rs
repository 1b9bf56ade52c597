//! Who asks: foreign load makers for throughput, and a small client of our own where a single answer
//! or an idle connection matters.

mod client;
mod idle;
mod wrk;

pub(crate) use client::get;
pub(crate) use idle::IdleClients;
pub(crate) use wrk::{Load, Wrk, read_figures};
