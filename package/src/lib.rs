//! A function's files as one object, between who deploys them and the nodes that run them.
//!
//! [`pack`] makes the object: a tar in the order of its names, without times or owners, compressed by zstd. Its name is the
//! SHA-256 of its bytes (`sha256sum` tells the same), a [`Digest`]. [`store`] keeps objects where all nodes find them.
//! [`unpack`] makes files of it again and trusts none of it: whoever may write to the store, or has made the tar, can
//! put nothing outside the folder, nothing into it that is not a plain file, folder or inner link, and no more
//! than the [`Limits`] allow.

#[cfg(any(test, feature = "test-support"))]
pub mod check;
mod digest;
mod limits;
mod pack;
#[cfg(feature = "store")]
pub mod store;
mod unpack;

pub use digest::{Digest, NotADigest};
pub use limits::Limits;
pub use pack::{PackError, Packed, pack};
pub use unpack::{UnpackError, Unpacked, unpack};
