//! What crosses the sockets between node, spawner and sandbox-init.
//!
//! Every message is one packet of a `SOCK_SEQPACKET` socket: JSON, with descriptors beside it.
//! A packet arrives whole or not at all, so there is no framing to get wrong. [`order`] goes
//! from the node to the spawner, [`event`] back, [`plan`] from the spawner to sandbox-init.

pub(crate) mod event;
pub(crate) mod order;
pub(crate) mod packet;
pub(crate) mod plan;
