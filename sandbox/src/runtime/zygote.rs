//! Which runtimes can be forked once their code is loaded, and how such a start differs.

use super::plan::{Assignment, Layout, StartPlan, listener_mark};
use super::{Adapters, Interpreters, Missing, Runtime, node};

impl Runtime {
    /// True when a zygote of it can be [planned](StartPlan::zygote). Whether the code of a
    /// function can be forked is for the zygote to say.
    pub fn can_fork(&self) -> bool {
        match self {
            Self::Node(_) | Self::Python(_) => true,
            // Their code is not ours to stop at the right place.
            Self::Command { .. } => false,
        }
    }
}

impl StartPlan {
    /// Plans a zygote of `runtime`, whose children are started by nothing else: the same program
    /// with the same variables, told that it is one. `sandbox` of the assignment is not told: each
    /// child learns its own. `None` for a runtime that [cannot](Runtime::can_fork) be forked.
    ///
    /// # Errors
    /// When the runtime needs an interpreter that this machine lacks.
    pub fn zygote(
        runtime: &Runtime,
        assignment: &Assignment<'_>,
        interpreters: &Interpreters,
        adapters: &Adapters,
        layout: &Layout,
    ) -> Option<Result<Self, Missing>> {
        if !runtime.can_fork() {
            return None;
        }
        let plan = Self::new(runtime, assignment, interpreters, adapters, layout);
        Some(plan.map(|mut plan| {
            let (listener, _) = listener_mark();
            plan.env.retain(|(name, _)| *name != listener && name != "HATCHWAY_SANDBOX");
            plan.env.push(("HATCHWAY_ZYGOTE_FD".to_owned(), "3".to_owned()));
            plan.env.sort_unstable();
            if let Runtime::Node(_) = runtime {
                node::make_zygote(&mut plan.argv);
            }
            plan
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::runtime::{Interpreter, PythonEntry};

    fn plan(runtime: &Runtime) -> Option<StartPlan> {
        let python = Interpreter {
            path: "/usr/bin/python3".into(),
            version: (3, 11, 2),
            mounts: Vec::new(),
        };
        let missing = Missing::NotFound { program: "node".into() };
        let interpreters = Interpreters { node: Err(missing), python: Ok(python) };
        let env = BTreeMap::new();
        let assignment = Assignment {
            tenant: "t",
            function: "f",
            version: "v",
            sandbox: "sb-1",
            concurrency: 1,
            memory_bytes: None,
            env: &env,
        };
        let adapters = Adapters { dir: "/a".into() };
        let plan =
            StartPlan::zygote(runtime, &assignment, &interpreters, &adapters, &Layout::default());
        plan.map(|plan| plan.expect("the interpreter is there"))
    }

    #[test]
    fn a_zygote_is_told_that_it_is_one_and_not_whose_sandbox() {
        let entry = PythonEntry::App { module: "main".into(), attribute: "app".into() };
        let plan = plan(&Runtime::Python(entry)).expect("Python can be forked");
        let has = |name: &str| plan.env.iter().any(|(n, _)| n == name);
        assert!(has("HATCHWAY_ZYGOTE_FD") && has("HATCHWAY_FUNCTION"));
        assert!(!has("HATCHWAY_LISTENER") && !has("HATCHWAY_SANDBOX"));
        assert!(plan.env.is_sorted() && plan.inherits_listener);
    }

    #[test]
    fn what_cannot_be_forked_has_no_plan() {
        assert_eq!(plan(&Runtime::Command { argv: vec!["./server".into()] }), None);
    }
}
