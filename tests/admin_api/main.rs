//! What a gateway tells operators and does for them, by HTTP: over a real etcd, with roles, and by TLS.

mod documented;
mod expressions;
mod kit;
mod objects;
mod rehearsal;
mod roles;
mod tls;
