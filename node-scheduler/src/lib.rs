//! Level two: which sandbox on this node serves a request.
//!
//! Reading order, as a request goes on: [`serve`] (7: calls arrive from gateways in other processes),
//! [`admit`] (8: a file answers, a slot is taken, or the request is refused), [`pool`] (9: warm reuse, hatch
//! and reap), [`invoke`] (10: to the sandbox and back). [`hatch`] starts processes for the pool, from a [`zygote`]
//! where there is one, over the files that [`package`] has and the [`code`] that was compiled of them, [`node`] puts the parts together,
//! and [`register`] says in etcd that all of it is there. By [`growth`] it keeps its part of what is kept ready over all nodes. [`named`]
//! is what the rules name, and [`egress`] the way out for functions that have one. `adopt` is what a daemon leaves to the next one, and
//! [`heir`] how that takes its place while calls are under way.

pub mod admin;
pub mod admit;
mod adopt;
mod assets;
mod boost;
mod code;
pub mod config;
mod egress;
pub mod growth;
mod h2c;
pub mod hatch;
pub mod heir;
pub mod invoke;
pub mod logs;
mod machine;
pub mod metrics;
mod named;
pub mod node;
pub mod package;
pub mod pool;
pub mod register;
pub mod rules;
pub mod serve;
pub mod state;
pub mod stem;
pub mod zygote;
