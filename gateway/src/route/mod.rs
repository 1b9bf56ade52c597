//! Stage 3: host, path and what else a request says lead to a function, and from there to one of its versions.
//!
//! [`table`] finds the function: its cost depends on the depth of the path, not on the number of routes, which a [`Trie`](hatchway_wire::trie::Trie) holds.
//! [`release`] chooses the version. [`condition`] is what both may ask of a request and [`filters`] what both may do with
//! it, compiled when they are pushed. [`lane`] is what a request keeps through all functions.

pub mod condition;
mod expression;
pub mod filters;
pub mod lane;
pub mod release;
pub mod table;

pub use condition::{Asked, Matcher};
pub use filters::{AnswerFilters, Applied, FieldEdit, Filters};
pub use release::{Chosen, Releases};
pub use table::{Found, Table};
