//! Stage 5: which node. Pure functions over what is known at a moment: no socket, no clock, no lock. The simulator
//! (`make sim`) runs the very same ones.
//!
//! The order of choice for a version: the node that served it last, while that has room; the first nodes of its rendezvous
//! order that have room, so that gateways which share nothing agree where a function goes; the emptier of two nodes drawn from all
//! that have room; and where nobody has, a node that may let it wait.
//!
//! Where nodes are there for a lane, its requests go nowhere else while one of them is up, and others go there only for need.
//!
//! Reading order: [`facts`] (what is fixed about a node), [`group`] (whom it is there for), [`order`] (whom a version asks in which order), [`board`] (how all
//! nodes stand just now), [`pick`] (the choice), [`health`] (who is left alone because it failed) and [`budget`] (how often a call is
//! offered again).

pub mod board;
pub mod budget;
pub mod facts;
pub mod group;
pub mod health;
pub mod order;
pub mod pick;

pub use board::{Board, Seen, Standing};
pub use budget::RetryBudget;
pub use facts::NodeFacts;
pub use group::{Group, Tiers};
pub use health::Health;
pub use pick::{Because, Pick, Place, Policy};
