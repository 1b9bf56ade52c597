//! The gateway as programs meet it that we did not write: curl, nghttp, h2load, openssl and Python in front of a whole gateway,
//! with a function that the test plays behind a node.

mod certificates;
mod credentials;
mod http2;
#[path = "../edge/kit/node.rs"]
mod node;
mod proxies;
mod tls;
mod world;
