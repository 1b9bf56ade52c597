//! Whether the Node of this machine can be forked: found out once, when the first of its functions might be.

use std::sync::Arc;

use hatchway_sandbox::runtime::{Adapters, Interpreter, Interpreters};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

/// A trial that is made when it is first asked for, and then known. Cloning it shares it.
#[derive(Clone, Debug)]
pub(crate) struct Trial(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    node: Option<Interpreter>,
    adapters: Adapters,
    verdict: OnceCell<Result<(), String>>,
}

impl Trial {
    pub(crate) fn new(interpreters: &Interpreters, adapters: &Adapters) -> Self {
        let node = interpreters.node.as_ref().ok().cloned();
        Self(Arc::new(Inner { node, adapters: adapters.clone(), verdict: OnceCell::new() }))
    }

    /// Waits for the outcome: half a second of a core, the first time.
    ///
    /// # Errors
    /// Why it cannot be forked.
    pub(crate) async fn verdict(&self) -> Result<(), String> {
        let verdict = self.0.verdict.get_or_init(|| async {
            let inner = Arc::clone(&self.0);
            let tried = spawn_blocking(move || match &inner.node {
                Some(node) => node
                    .try_fork(&inner.adapters)
                    .map_err(|error| hatchway_wire::process::chain(&error)),
                None => Err("there is no Node".to_owned()),
            });
            tried.await.unwrap_or_else(|error| Err(error.to_string()))
        });
        verdict.await.clone()
    }
}
