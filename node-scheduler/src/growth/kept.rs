//! The plans on this node's disk: what it goes by when it is started while etcd is not there.
//!
//! One file, a line that proves the rest and then the plans. It is replaced by a rename and not synced: after a loss of power it may be
//! the one before or half of one, which is not believed, and the node goes by numbers of its own as it would without any.

use std::collections::BTreeMap;
use std::fs;
use std::hash::BuildHasher;
use std::io;
use std::path::{Path, PathBuf};

use foldhash::quality::FixedState;
use hatchway_proto::growth::Plan;
use hatchway_proto::name::FunctionName;
use hatchway_wire::catalog::etcd::folder::Folder;
use hatchway_wire::catalog::etcd::growth::Standing;
use serde::{Deserialize, Serialize};

/// Beside the rules.
const FILE: &str = "plans";
const NEW: &str = "plans.new";

/// All plans, as they were at one revision of etcd.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plans {
    /// Of which etcd, by the prefix of its keys.
    prefix: String,
    pub(crate) revision: i64,
    pub(crate) plans: BTreeMap<FunctionName, Plan>,
}

impl Plans {
    pub(crate) fn of(folder: &Folder<Standing>) -> Self {
        let plan = |(function, standing): (&String, &Standing)| {
            Some((FunctionName::parse(function).ok()?, standing.plan.clone()))
        };
        let plans = folder.entries.iter().filter_map(plan).collect();
        Self { prefix: String::new(), revision: folder.revision, plans }
    }
}

/// The file.
#[derive(Debug)]
pub(crate) struct Kept {
    folder: PathBuf,
    prefix: String,
    /// What it holds, as far as this process knows.
    last: Option<BTreeMap<FunctionName, Plan>>,
}

impl Kept {
    /// In the state folder of a node, for the plans below `prefix`.
    pub(crate) fn new(state: &Path, prefix: &str) -> Self {
        Self { folder: state.to_owned(), prefix: prefix.to_owned(), last: None }
    }

    /// The plans that it has; none where it is not there, or is not to be believed, which is said.
    pub(crate) fn read(&self) -> Option<Plans> {
        let path = self.folder.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => return not_believed(&path, &error.to_string()),
        };
        let proven = text.split_once('\n').filter(|(proof, rest)| *proof == self::proof(rest));
        let Some((_, rest)) = proven else { return not_believed(&path, "its checksum is wrong") };
        match serde_json::from_str::<Plans>(rest) {
            Ok(plans) if plans.prefix == self.prefix => Some(plans),
            Ok(plans) => not_believed(&path, &format!("it holds the plans of {}", plans.prefix)),
            Err(error) => not_believed(&path, &error.to_string()),
        }
    }

    /// Keeps the plans, where they are others than before. What goes wrong is said, and nothing else comes of it.
    pub(crate) fn keep(&mut self, plans: &Plans) {
        if self.last.as_ref() == Some(&plans.plans) {
            return;
        }
        match self.write(&Plans { prefix: self.prefix.clone(), ..plans.clone() }) {
            Ok(()) => self.last = Some(plans.plans.clone()),
            Err(error) => tracing::warn!(%error, "the plans are not kept on disk"),
        }
    }

    fn write(&self, plans: &Plans) -> io::Result<()> {
        let new = self.folder.join(NEW);
        let rest = serde_json::to_string(plans)?;
        fs::write(&new, format!("{}\n{rest}", proof(&rest)))?;
        fs::rename(&new, self.folder.join(FILE))
    }
}

/// Against accidents: nobody else writes there.
fn proof(rest: &str) -> String {
    format!("hatchway-plans 1 {:016x}", FixedState::default().hash_one(rest.as_bytes()))
}

fn not_believed(path: &Path, why: &str) -> Option<Plans> {
    let path = path.display();
    tracing::error!(%path, why, "the plans on disk are not believed");
    None
}

#[cfg(test)]
mod tests {
    use hatchway_proto::growth::Placed;
    use hatchway_proto::name::VersionId;

    use super::*;

    fn plans(revision: i64) -> Plans {
        let function = FunctionName::parse("local/a").expect("it is a name");
        let version = VersionId::parse("0123456789abcdef").expect("it is an id");
        let plan = Plan { versions: [(version, Placed::default())].into(), max: Some(4) };
        Plans { prefix: String::new(), revision, plans: [(function, plan)].into() }
    }

    #[test]
    fn what_is_kept_is_read_and_nothing_else_is_believed() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut kept = Kept::new(folder.path(), "/x/");
        assert_eq!(kept.read(), None);
        kept.keep(&plans(7));
        assert_eq!(kept.read(), Some(Plans { prefix: "/x/".to_owned(), ..plans(7) }));
        assert_eq!(Kept::new(folder.path(), "/y/").read(), None, "those of another etcd");

        let path = folder.path().join(FILE);
        let good = fs::read(&path).expect("it was written");
        for index in 0..good.len() {
            let mut bad = good.clone();
            bad[index] ^= 1;
            for bytes in [&bad[..], &good[..index]] {
                fs::write(&path, bytes).expect("own folder");
                assert_eq!(kept.read(), None, "byte {index}");
            }
        }
        // The same plans are not written again, and others are.
        kept.keep(&plans(8));
        assert_eq!(kept.read(), None);
        kept.keep(&Plans::default());
        assert_eq!(kept.read().map(|plans| plans.plans.len()), Some(0));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_no_reason_to_stop() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join(NEW)).expect("own folder");
        let mut kept = Kept::new(folder.path(), "/x/");
        kept.keep(&plans(7));
        assert_eq!(kept.read(), None);
    }
}
