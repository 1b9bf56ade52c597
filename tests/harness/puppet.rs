//! Functions that do as they are told, so that a test needs no function of its own.

/// A node handler; its orders stand in the file.
pub const PUPPET: &str = include_str!("../functions/puppet.mjs");

/// The same orders for Python.
pub const PUPPET_PY: &str = include_str!("../functions/puppet.py");

/// An unmodified HTTP server that reads and writes bodies of any size.
pub const SERVER: &str = include_str!("../functions/server.mjs");

/// The manifest table of a puppet at `/NAME`, with more lines.
pub fn puppet(name: &str, lines: &str) -> String {
    format!(
        "[function.{name}]\nruntime = \"node\"\nhandler = \"puppet.mjs#puppet\"\n\
         http = {{ path = \"/{name}\" }}\n{lines}\n"
    )
}
