//! How many sandboxes of a function are kept ready over all nodes: counts come in, wishes go out. No clock, no I/O; the gateway that
//! leads ([`crate::catalog::Growth`] says by what) calls this once a second.
//!
//! Reading order: [`window`] (a load over time), [`scaler`] (how many sandboxes it asks for: out at once, in with delay),
//! [`schedule`] (times at which more are kept), [`divide`] (which node keeps how many, so that a limit holds over all of them
//! while they hear of it at their own time), and [`plan`] (what stands in etcd of all this).

pub mod divide;
pub mod plan;
pub mod scaler;
pub mod schedule;
pub mod window;

pub use plan::{Asked, Holds, NodeReport, Placed, Plan, Share};
pub use scaler::{Because, Load, Scaler, Targets, Wish};
