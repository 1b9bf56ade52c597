//! The real gateway between raw clients and a recorder that stands for a node.

mod clients;
mod door;
mod failures;
mod headers;
mod idle;
mod kit;
mod nodes;
mod table;
