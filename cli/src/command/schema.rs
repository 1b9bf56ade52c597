//! `hatchway schema`: what an editor needs to complete and to check a hatchway.toml.

use hatchway_proto::manifest;

use crate::failure::Outcome;
use crate::output;

/// Prints the schema.
pub(crate) fn run() -> Outcome {
    output::json(&manifest::schema())
}
