//! What must hold for any input whatever. The fuzz targets in `proto/fuzz` and the property tests run these functions, which
//! panic when a claim is broken.

mod bodies;
mod heads;

pub use bodies::chunked_body;
pub use heads::{request_head, response_head};
