//! Rules from etcd: read whole at one revision, then watched from the next.
//!
//! There is one way to get right again, whatever went wrong (a lost connection, a compaction, a restored backup,
//! another cluster under the same address, a difference that a compare has found): read everything anew and see what
//! differs. Values that have not changed are told by their hash and not parsed again, so this is cheap for us; waits
//! between tries are spread, so that it is bearable for etcd.
//!
//! [`config`] says where etcd is; [`connection`] asks one member; [`source`] is what follows it, and [`push`] what
//! writes. [`mod@announce`] tells how far a follower has come, and [`followers`] waits for that; a [`registrar`] says that a node is
//! there; a change on [`trial`] is one
//! that a single gateway serves by. [`rollouts`] are kept beside the rules; of the gateways that follow them one leads,
//! by its [`seat`]. By [`demands`] gateways divide limits among themselves, and by [`growth`] they say how many sandboxes are kept ready
//! where. All of these [attend](attend()) what goes on in [folders](folder) of etcd.

mod announce;
mod attend;
mod config;
mod connection;
pub mod demands;
pub mod folder;
pub mod followers;
pub mod growth;
mod lease;
pub mod orders;
pub mod push;
pub mod registrar;
pub mod rollouts;
pub mod seat;
mod source;
pub mod trial;

pub(super) use announce::announce;
pub use attend::attend;
pub use config::{EtcdArgs, EtcdConfig, EtcdConfigError};
pub use connection::EtcdError;
pub use source::{COMPARE_EVERY, EtcdSource, Known};
