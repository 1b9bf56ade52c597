//! TLS in which both ends show who they are, for programs that belong together: one authority signs for all of them, and
//! the name in a certificate says which part its owner may play.
//!
//! [`names`] are those that the other end may have, [`verify`] holds its certificate against them and the authority,
//! [`identity`] is what this end has and expects, as it is on disk. [`operators`] is for people and their programs, who
//! may have a certificate or something else.

mod identity;
mod names;
mod operators;
mod verify;

pub use identity::{Files, Identity, IdentityError};
pub(super) use identity::{roots, setup};
pub use names::{NotAName, PeerName, PeerNames};
pub use operators::OperatorTls;
