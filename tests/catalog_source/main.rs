//! Sources of rules: what a file and an etcd have in common ([`conformance`]), and what only an etcd can do to those
//! who listen to it ([`faults`]), with a real one.

mod conformance;
mod faults;
mod figures;
mod followed;
mod push;
mod secured;
