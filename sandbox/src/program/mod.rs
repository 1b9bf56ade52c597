//! What the two programs do; their `main`s only call in here.

pub mod init;
pub mod spawner;
