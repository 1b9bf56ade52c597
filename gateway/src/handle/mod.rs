//! A request from its head to its end, as one core of the gateway carries it.
//!
//! [`decide`] is a whole request on one screen: the stages of a gateway in their order, all from the head. [`serve`] goes on
//! from there, through the exchange with a node to the last byte; [`spare`] is what takes the place of a failure. [`call`] is
//! what is known of a request in between, [`gateway`] what all requests of a core share.

mod call;
mod decide;
mod gateway;
mod serve;
mod spare;

pub use call::Call;
pub use gateway::Gateway;
