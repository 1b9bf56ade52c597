//! Both halves of a link over real sockets, and each half against a peer that breaks the rules.

mod calls;
mod flow;
mod hostile;
mod kit;
mod losses;
// A node in front of a function that a test plays.
#[path = "../../../gateway/tests/edge/kit/node.rs"]
mod node;
