//! Connections to sandboxes that speak HTTP/2: one for each on this core, shared by all of its requests.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;

use hatchway_proto::name::SandboxId;
use hatchway_wire::http2::outbound::Shared;

use crate::hatch::ProcessHatchery;
use crate::pool::Slot;

/// By whom they lead to.
#[derive(Clone, Debug, Default)]
pub(crate) struct H2cConnections(Rc<RefCell<HashMap<SandboxId, Shared>>>);

impl H2cConnections {
    /// The connection to the sandbox of `slot`; connects where there is none.
    ///
    /// # Errors
    /// As connect(2).
    pub(crate) async fn reach(&self, slot: &Slot<ProcessHatchery>) -> io::Result<Shared> {
        let sandbox = slot.sandbox_id();
        if let Some(shared) = self.get(sandbox) {
            return Ok(shared);
        }
        let fresh = Shared::open(slot.sandbox().connect().await?).await?;
        // Requests that came meanwhile have connected as well: the first of them is enough.
        if let Some(shared) = self.get(sandbox) {
            return Ok(shared);
        }
        self.0.borrow_mut().insert(sandbox, fresh.clone());
        Ok(fresh)
    }

    fn get(&self, sandbox: SandboxId) -> Option<Shared> {
        self.0.borrow().get(&sandbox).filter(|shared| !shared.is_over()).cloned()
    }

    /// Forgets what is over.
    pub(crate) fn sweep(&self) {
        self.0.borrow_mut().retain(|_, shared| !shared.is_over());
    }
}
