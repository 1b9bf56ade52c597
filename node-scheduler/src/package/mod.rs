//! The files of versions: fetched from a store by digest, verified, unpacked once, kept while there is room.
//!
//! [`packages`] is what the rest of the node asks: a version's files, now or as soon as they are here. [`table`] knows what is
//! here, what is on its way, what has failed and who goes first when the disk is short, without a disk or a clock;
//! [`shelf`] is the disk; [`fetch`] brings one package from the store to the shelf; [`ahead`] does so before anybody asks,
//! for versions that the rules name.
//!
//! A version whose package is a folder of this machine needs none of it.

mod ahead;
mod failure;
mod fetch;
mod packages;
mod settings;
mod shelf;
mod table;

pub(crate) use packages::Held;
pub use packages::Packages;
pub use settings::PackageArgs;
pub use table::PackageStatus;
