//! The commands, a file each: its arguments, what it does, what it prints.

pub(crate) mod apply;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod deploy;
pub(crate) mod diff;
pub(crate) mod explain;
pub(crate) mod history;
pub(crate) mod invoke;
pub(crate) mod logs;
pub(crate) mod new;
pub(crate) mod ps;
pub(crate) mod release;
pub(crate) mod rollback;
pub(crate) mod rollout;
pub(crate) mod schema;
pub(crate) mod status;
pub(crate) mod token;
