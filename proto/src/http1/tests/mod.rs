//! Claims about whole messages. Rules of single fields are tested beside their code.

mod bodies;
mod heads;
mod random;
mod tables;
