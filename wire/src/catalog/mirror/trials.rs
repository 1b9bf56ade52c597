//! Changes on trial, each at one gateway, laid over what the source has for everybody.

use std::sync::Arc;

use hatchway_proto::catalog::{Candidate, Objects};

use super::Mirror;

/// Whose trials concern us.
#[derive(Debug, Default)]
pub(in crate::catalog) enum Role {
    /// Nobody's.
    #[default]
    Reader,
    /// Those of this gateway, which serves by them.
    Gateway(String),
    /// Those of all gateways: whatever one of them may ask for is served.
    Node,
}

impl Mirror {
    /// Takes part in trials from now on.
    pub(in crate::catalog) fn trying_as(&mut self, role: Role) {
        self.role = role;
    }

    pub(super) fn concerns(&self, key: &str) -> bool {
        match &self.role {
            Role::Reader => false,
            Role::Gateway(name) => key == self.keys.short(self.keys.first(name).as_bytes()),
            Role::Node => true,
        }
    }

    /// What is to be served.
    pub(in crate::catalog) fn served(&self) -> Arc<Objects> {
        Arc::clone(self.tried.as_ref().unwrap_or(&self.objects))
    }

    /// The revision of what is on trial.
    pub(in crate::catalog) fn on_trial(&self) -> Option<i64> {
        self.trials.values().next().map(|(revision, _)| *revision)
    }

    /// Whoever tries something may be gone without our hearing of it.
    pub(in crate::catalog) fn end_trials(&mut self) {
        self.trials.clear();
        self.tried = None;
    }

    /// One change of what is on trial: its revision and value, or its end.
    pub(super) fn trial(&mut self, key: String, value: Option<(i64, &[u8])>) {
        self.trials.remove(&key);
        self.refuse(key.clone(), None);
        let Some((revision, value)) = value else { return };
        let candidate = serde_json::from_slice(value).map_err(|error| error.to_string());
        let checked = candidate.and_then(|candidate: Candidate| {
            candidate.over(&self.objects)?;
            Ok(candidate)
        });
        match checked {
            Ok(candidate) => _ = self.trials.insert(key, (revision, candidate)),
            Err(why) => self.refuse(key, Some(why)),
        }
    }

    /// What is on trial is tried over what there is now.
    pub(super) fn try_out(&mut self) {
        self.tried = None;
        for (_, candidate) in self.trials.values() {
            let objects = self.tried.as_ref().unwrap_or(&self.objects);
            let tried = match self.role {
                Role::Node => candidate.beside(objects),
                Role::Gateway(_) | Role::Reader => candidate.over(objects),
            };
            self.tried = Some(Arc::new(tried.expect("it was checked when it came")));
        }
    }
}
