//! What crosses a process boundary, and nothing else: no I/O, no clock.
//!
//! Reading order: [`name`] (what things are called), [`units`] (how quantities are written),
//! [`catalog`] (the objects that operators push), [`manifest`] (the file they come from), [`http1`] (messages as they
//! are on the wire), [`proxy_protocol`] and [`network`] (who sends them, behind a balancer), [`grpc`] (the little that a gateway knows of it),
//! [`trace_context`] (which trace they belong to), [`link`] (many of them between a gateway and a node),
//! [`rollout`] (how a canary becomes the next stable version, or does not), [`growth`] (how many sandboxes are kept ready where),
//! [`api`] (what operators say to a gateway).

pub mod api;
pub mod catalog;
#[cfg(any(test, feature = "test-support"))]
pub mod corpus;
pub mod failure;
pub mod growth;
pub mod grpc;
pub mod hex;
pub mod http1;
pub mod link;
pub mod manifest;
pub mod name;
pub mod network;
pub mod proxy_protocol;
pub mod rollout;
pub mod seldom;
pub mod share;
pub mod trace_context;
pub mod units;
