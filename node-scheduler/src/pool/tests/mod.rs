//! The whole pool on a paused clock, with sandboxes that do as a test tells them.

mod kit;

mod adoption;
mod decisions;
mod demand;
mod ending;
mod failing;
mod figures;
mod model;
mod threads;
mod waiting;
