//! Who asks: foreign load makers for throughput, and small clients of our own where a single answer
//! or an idle connection matters.

mod client;
mod h2load;
mod http2;
mod idle;
mod maker;
mod resume;
mod wrk;

pub(crate) use client::get;
pub(crate) use http2::Http2;
pub(crate) use idle::IdleClients;
pub(crate) use maker::{Load, Maker};
