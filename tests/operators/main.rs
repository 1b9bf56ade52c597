//! How operators change rules: the same commands on a file, in etcd and through a gateway, nothing is overwritten that nobody has seen, every
//! change is remembered, and gateways say how far they have come.

mod acknowledged;
mod history;
mod place;
mod releases;
mod trials;
