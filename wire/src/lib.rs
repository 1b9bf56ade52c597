//! The I/O that gateway and node share.
//!
//! Every core runs the whole path by itself: its own listener, connections, buffers, timers and idle
//! connections on a single-threaded runtime, so nothing here is `Send` and nothing takes a lock.
//!
//! Reading order: [`core`] (a thread per core), [`listen`] (a listener per core), [`stream`] (bytes in
//! and out), [`scratch`] (buffers that belong to the core), [`pipe`] (bytes that need none), [`ticker`] (clocks), then [`http1`]: a
//! connection, one exchange on it, and the relay between two streams; [`http2`] joins clients of the newer version to the
//! same, [`tls`] those who want to be alone with us, [`proxied`] those who come
//! through a balancer. [`link`] carries many requests between a gateway and a node.
//! [`backend`] is the seam between the two levels, [`account`] what is told across it when it is over,
//! [`catalog`] brings rules in, [`member`] is what a program is called,
//! [`admin`] is the slow door for
//! operators, [`backlog`] what requests leave behind for those who are slower than they, [`trace`] the spans among it. [`trie`] is a set that is cheap to change for one who shares it.

pub mod account;
pub mod admin;
pub mod backend;
pub mod backlog;
pub mod catalog;
pub mod core;
pub mod grpc;
pub mod http1;
pub mod http2;
pub mod link;
pub mod listen;
pub mod member;
mod pipe;
pub mod process;
pub mod proxied;
pub mod random;
pub mod scratch;
pub mod stream;
pub mod ticker;
pub mod tls;
pub mod trace;
pub mod trie;

pub use stream::Stream;
