//! HTTP/2 in front of the same upstream half: a test file per theme, each test a claim. The client is that of the `h2`
//! crate, or frames written by hand where that one is too well behaved.

mod abuse;
mod bodies;
mod ending;
mod flow;
mod heads;
mod kit;
mod net;
#[path = "../http1/kit/peer.rs"]
#[allow(dead_code, reason = "the tests of HTTP/1.1 use all of it")]
mod peer;
mod raw;
mod scripted;
