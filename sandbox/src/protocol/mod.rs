//! What crosses the sockets between node, spawner and sandbox-init.
//!
//! Every message is one packet of a `SOCK_SEQPACKET` socket: JSON, with descriptors beside it.
//! A packet arrives whole or not at all, so there is no framing to get wrong. [`order`] goes
//! from the node to the spawner, [`event`] back, [`plan`] from the spawner to sandbox-init,
//! [`zygote`] between the spawner, a zygote and its children, [`stem`] from the spawner to a stem cell.

#[cfg(any(test, feature = "test-support"))]
pub mod check;
pub(crate) mod event;
pub(crate) mod order;
pub mod packet;
pub(crate) mod plan;
pub(crate) mod stem;
pub(crate) mod zygote;
