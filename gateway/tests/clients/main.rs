//! The gateway as programs meet it that we did not write: curl, nghttp, h2load, openssl and Python in front of a whole gateway,
//! with a node that the test plays.

mod certificates;
mod http2;
mod tls;
mod world;
