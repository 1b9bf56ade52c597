//! A gateway on free ports, nodes that record what reaches them, and clients that send what they are told.

pub(crate) mod client;
pub(crate) mod gateway;
pub(crate) mod node;
pub(crate) mod reader;
pub(crate) mod recorder;
pub(crate) mod script;

pub(crate) use client::{Answer, Client};
pub(crate) use gateway::{Edge, catalog};
pub(crate) use reader::{Message, fields};
pub(crate) use recorder::{Recorder, Reply, Seen};

use std::time::Duration;

/// Longer than anything takes on a busy machine: a test that waits for what never comes fails by this.
pub(crate) const GUARD: Duration = Duration::from_secs(60);
