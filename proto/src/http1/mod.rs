//! HTTP/1.1 as pure functions: bytes in, decisions out. No socket, no clock, no allocation on the good path.
//!
//! `httparse` finds the tokens; everything that decides what a message *means* is here, and takes the stricter reading of
//! RFC 9112 and RFC 9110 wherever two implementations could disagree: a message that a second parser might read
//! differently is refused, not repaired. The same code serves both edges, client to gateway and node to function,
//! and what a [link](crate::link) carries between them.
//!
//! Reading order, as a message travels:
//! 1. [`parse_request`] (`request`, `target`, `host`) and [`parse_response`] (`response`) check a head and say what follows it;
//!    `scan` is the one pass over the fields that both share, with `names`, `framing` and `connection` as its rules.
//! 2. `table` remembers where the fields lie, so that nobody looks for them again.
//! 3. [`BodyDecoder`] (`body`, `chunked`, `extension`, `trailer`) follows the body and vouches for every byte of framing.
//! 4. [`write_request`] and [`write_response`] (`write`, `copy`) make the head for the next hop; `chunk_out` makes chunks.

mod body;
#[cfg(any(test, feature = "test-support"))]
pub mod cases;
mod chars;
#[cfg(any(test, feature = "test-support"))]
pub mod check;
mod chunk_out;
mod chunked;
mod connection;
mod copy;
mod error;
mod extension;
mod framing;
mod host;
mod limits;
mod names;
mod request;
mod response;
mod scan;
mod table;
mod target;
mod trailer;
mod write;

#[cfg(test)]
mod tests;

pub use body::{BodyDecoder, Piece};
pub use chars::{is_field_value, is_token};
pub use chunk_out::{CHUNK_END, LAST_CHUNK, write_chunk_head, write_last_chunk};
pub use error::{BodyError, HeadError};
pub use framing::{Framing, Version};
pub use limits::{FRAMING_OVERHEAD_BYTES, HEAD_BYTES_MAX, Limits, MAX_FIELDS};
pub use names::is_end_to_end;
pub use request::{HTTP2_PREFACE, RequestHead, parse_request};
pub use response::{ResponseHead, parse_response};
pub use scan::worth_parsing;
pub use table::Field;
pub use trailer::trailers;
pub use write::{RequestEdit, ResponseEdit, write_request, write_response};
