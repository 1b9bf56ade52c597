//! What a daemon writes down of a sandbox, and what the next one makes of it.
//!
//! [`hatchway_sandbox::adopt`] says who commands a sandbox when, [`pool`](crate::pool) how its slots go from one keeper to the
//! next. Here the two meet: a sandbox that lives becomes an orphan of the pool, and, where its version is served still, a
//! [`Process`] again.

use hatchway_proto::catalog::Version;
use hatchway_proto::name::{SandboxId, VersionId};
use hatchway_sandbox::Sandbox;
use serde::{Deserialize, Serialize};

use crate::hatch::{Process, ProcessHatchery};
use crate::pool;

/// Raised whenever a record changes its meaning. One of another format is not understood, and its sandbox ends.
const FORMAT: u32 = 1;

/// Zygotes and what is forked from them have numbers of their own, far above those of other sandboxes.
pub(crate) const FIRST_OF_ZYGOTES: u64 = 1 << 48;

/// What the next daemon has to know of a sandbox.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    format: u32,
    /// As operators know it; the spawner may know it by another number.
    sandbox: u64,
    version: String,
}

/// The record of a sandbox, in the words that [`Heritage`] reads.
pub(crate) fn record(id: SandboxId, version: VersionId) -> String {
    let record = Record { format: FORMAT, sandbox: id.0, version: version.as_str().to_owned() };
    serde_json::to_string(&record).expect("numbers and a string")
}

fn read(text: &str) -> Option<(SandboxId, VersionId)> {
    let record: Record =
        serde_json::from_str(text).ok().filter(|one: &Record| one.format == FORMAT)?;
    Some((SandboxId(record.sandbox), VersionId::parse(&record.version).ok()?))
}

/// What a daemon begins with.
#[derive(Debug)]
pub(crate) struct Heritage {
    pub(crate) orphans: Vec<pool::Orphan<Sandbox>>,
    /// The numbers of the next sandbox and of the next zygote: nobody who lives has them, or a higher one of its kind.
    pub(crate) first_sandbox: u64,
    pub(crate) first_zygote: u64,
}

impl Default for Heritage {
    /// Nothing.
    fn default() -> Self {
        Self { orphans: Vec::new(), first_sandbox: 1, first_zygote: FIRST_OF_ZYGOTES }
    }
}

impl Heritage {
    /// The daemon before still uses these.
    pub(crate) fn are_used(&mut self, slots_out: &pool::Estate) {
        for orphan in &mut self.orphans {
            let used = slots_out.iter().find(|(id, _)| *id == orphan.id);
            orphan.slots_out = used.map_or(0, |(_, out)| *out);
        }
    }

    /// What the daemon before has left. A sandbox of which it has written what nobody understands ends here.
    pub(crate) fn of(orphans: Vec<hatchway_sandbox::Orphan>, highest_ids: &[u64]) -> Self {
        let mut heritage = Self::default();
        for id in highest_ids {
            let next = match *id < FIRST_OF_ZYGOTES {
                true => &mut heritage.first_sandbox,
                false => &mut heritage.first_zygote,
            };
            *next = (*next).max(id + 1);
        }
        for orphan in orphans {
            let Some((id, version)) = read(&orphan.record) else {
                tracing::warn!(orphan.record, "a sandbox that nobody can account for ends");
                continue;
            };
            heritage.first_sandbox = heritage.first_sandbox.max(id.0 + 1);
            let orphan = pool::Orphan { id, version, slots_out: 0, it: orphan.sandbox };
            heritage.orphans.push(orphan);
        }
        heritage
    }
}

impl ProcessHatchery {
    /// A sandbox that serves becomes a process of ours. None, and it ends, when its files are gone.
    pub(crate) fn take_over(
        &self,
        id: SandboxId,
        sandbox: Sandbox,
        version_id: VersionId,
        version: &Version,
    ) -> Option<Process> {
        let Some(package) = self.packages.at_once(&version.package) else {
            tracing::warn!(function = %version.function, sandbox = id.0, "a sandbox whose files are gone ends");
            return None;
        };
        let current = self.capture(id, version_id, version, &sandbox);
        let current = current.inspect_err(|error| {
            tracing::warn!(function = %version.function, sandbox = id.0, %error, "a sandbox cannot be adopted, and ends");
        });
        // The daemon before may have lifted it for the start.
        sandbox.limit_cpu(version.resources.cpu_millis);
        sandbox.serves();
        Some(Process::new(sandbox, None, current.ok()?, (package, None, None)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_another_format_not_at_all() {
        let (id, version) = (SandboxId(7), VersionId::from_digest(&[3; 32]));
        let text = record(id, version);
        assert_eq!(read(&text), Some((id, version)));
        assert_eq!(read(&text.replace("\"format\":1", "\"format\":2")), None);
        assert_eq!(read("{}"), None);
    }

    #[test]
    fn numbers_go_on_above_the_highest_of_their_kind() {
        let heritage = Heritage::of(Vec::new(), &[41, FIRST_OF_ZYGOTES + 6]);
        assert_eq!((heritage.first_sandbox, heritage.first_zygote), (42, FIRST_OF_ZYGOTES + 7));
    }
}
