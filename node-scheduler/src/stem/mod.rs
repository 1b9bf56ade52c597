//! Stem cells: runtimes that have booted in advance, with no code of anybody's, to become the sandbox of a version that has
//! no zygote: at its first start on this node, or because its code cannot be forked.
//!
//! Each is used once, for one version. How many are parked of a kind goes by the starts that wanted one lately, and one is
//! there for every kind that a version of this node could want; they are made in the background, one at a time, while
//! nothing starts, and take no memory that a sandbox needs. A start that finds none, or one that is of no use, is an ordinary
//! one; that is counted.
//!
//! [`stock`] knows what is parked and what is wanted, without a process or a clock; [`cells`] makes them and gives them away.

mod cells;
mod stock;

pub(crate) use cells::StemCells;

/// What an operator says of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StemSettings {
    /// False when no start is to take one.
    pub is_on: bool,
    /// What all of them may use together.
    pub memory_bytes: u64,
}
