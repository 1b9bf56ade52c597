//! No control groups: what an ordinary user without delegation has.

use std::io;

use super::{Doors, GroupPaths, Groups, Limits};
use crate::grants::Backend;

/// Limits nothing, and says why.
#[derive(Debug)]
pub(crate) struct NoGroups {
    pub(crate) why: String,
}

impl Groups for NoGroups {
    fn backend(&self) -> Backend {
        Backend::None
    }

    fn lacks(&self) -> Option<String> {
        Some(self.why.clone())
    }

    fn counts_processes(&self) -> bool {
        false
    }

    fn create(&self, _name: &str) -> io::Result<GroupPaths> {
        Ok(GroupPaths::None)
    }

    fn limit(&self, _group: &GroupPaths, _limits: &Limits) -> io::Result<()> {
        Ok(())
    }

    fn limit_cpu(&self, _group: &GroupPaths, _cpu_millis: u32) -> io::Result<()> {
        Ok(())
    }

    fn doors(&self, _group: &GroupPaths) -> io::Result<Doors> {
        Ok(Doors::Join(Vec::new()))
    }

    fn oom_kills(&self, _group: &GroupPaths) -> io::Result<u64> {
        Ok(0)
    }

    fn trees(&self) -> GroupPaths {
        GroupPaths::None
    }

    fn remove_all(&self) -> io::Result<()> {
        Ok(())
    }
}
