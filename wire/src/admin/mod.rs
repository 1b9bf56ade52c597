//! The door for operators: HTTP by hyper on a thread of its own, so that it answers while every core is busy.
//!
//! [`listen`] accepts, encrypts and asks [`guard`] who is there: the holder of one of the [`tokens`], the owner of a
//! certificate, or anybody on this machine. Pages and the API answer with what [`reply`] makes; [`args`] is how all of it
//! is told.

mod args;
mod guard;
mod listen;
mod reply;
mod tokens;

pub use args::{AdminArgs, AdminConfig, AdminError};
pub use guard::{Caller, Role};
pub use listen::{Admin, Api, Call, Page, Pending};
pub use reply::{Reply, json, metrics, problem, queries, query, refusal, stream, whole};
pub use tokens::{TokenError, Tokens};
