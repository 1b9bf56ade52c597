//! Packages on their way from a project to nodes that share nothing but a store.

mod failures;
mod kit;
mod life;
mod shared;
mod stores;
