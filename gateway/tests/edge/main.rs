//! The real gateway between raw clients and a recorder that stands for a function, behind a node that speaks the link.

mod clients;
mod degrade;
mod door;
mod failures;
mod filters;
mod headers;
mod idle;
mod kit;
mod lanes;
mod line;
mod links;
mod mirror;
mod nodes;
mod table;
mod told;
