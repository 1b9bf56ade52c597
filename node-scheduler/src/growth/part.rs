//! What of all plans concerns this node.

use std::collections::BTreeMap;

use hatchway_proto::growth::{Plan, Share};
use hatchway_proto::name::{FunctionName, VersionId};

use super::Growing;

/// The plans, and the versions here whose functions grow.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// What this node is called in the plans.
    name: String,
    plans: BTreeMap<FunctionName, Plan>,
    /// Of etcd, as far as the plans are known.
    revision: i64,
    growing: Growing,
}

impl Part {
    /// These are the plans now.
    pub(crate) fn plan(&mut self, name: &str, plans: BTreeMap<FunctionName, Plan>, revision: i64) {
        name.clone_into(&mut self.name);
        (self.plans, self.revision) = (plans, revision);
    }

    /// The rules say of a version whether its function grows. True when that is news.
    pub(crate) fn rule(
        &mut self,
        version: VersionId,
        function: &FunctionName,
        grows: bool,
    ) -> bool {
        match grows {
            true => self.growing.insert(version, function.clone()).is_none(),
            false => self.growing.remove(&version).is_some(),
        }
    }

    /// The version is gone.
    pub(crate) fn forget(&mut self, version: &VersionId) {
        self.growing.remove(version);
    }

    pub(crate) fn growing(&self) -> &Growing {
        &self.growing
    }

    /// This node's shares, and of which revision.
    pub(crate) fn shares(&self) -> (BTreeMap<VersionId, Share>, i64) {
        let share = |(version, function): (&VersionId, &FunctionName)| {
            let share = self.plans.get(function)?.share(version, &self.name)?;
            Some((*version, share))
        };
        (self.growing.iter().filter_map(share).collect(), self.revision)
    }
}

#[cfg(test)]
mod tests {
    use hatchway_proto::growth::Placed;

    use super::*;

    #[test]
    fn a_share_is_of_a_version_that_is_here_grows_and_is_planned() {
        let version = |n: u8| VersionId::parse(&format!("{n:016x}")).expect("it is an id");
        let function = FunctionName::parse("local/a").expect("it is a name");
        let share = Share { keep: 2, ..Share::default() };
        let placed = Placed { nodes: [("n".to_owned(), share)].into(), ..Placed::default() };
        let plan = Plan { versions: [(version(1), placed)].into(), max: Some(4) };
        let mut part = Part::default();
        assert!(part.rule(version(1), &function, true) && part.rule(version(2), &function, true));
        assert!(!part.rule(version(1), &function, true), "that was known");
        assert!(part.shares().0.is_empty(), "nobody has planned");
        part.plan("n", [(function.clone(), plan.clone())].into(), 7);
        assert_eq!(part.shares(), ([(version(1), share)].into(), 7));
        part.plan("other", [(function.clone(), plan)].into(), 8);
        assert_eq!(part.shares().0[&version(1)].most, Some(0), "others have them");
        assert!(part.rule(version(1), &function, false));
        assert!(part.shares().0.is_empty());
    }
}
