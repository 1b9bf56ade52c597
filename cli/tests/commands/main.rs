//! The commands as a person and a script meet them: the real program, real files, and an admin API and a
//! gateway that answer from a script.

mod admin;
mod invoke;
mod project;
mod support;
