//! What deploying a project changes of the rules that are there: pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use hatchway_proto::catalog::{Object, Objects, Release, Share};
use hatchway_proto::name::FunctionName;
use hatchway_wire::catalog::store::Change;

use crate::command::apply::merge::{Merge, Merged, UnderWay};
use crate::command::release::Percent;

/// Who gets the new versions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Releasing {
    /// Everybody, as `hatchway apply` does it.
    All(UnderWay),
    /// Everybody who has no share and no rule, as `hatchway release --stable` does it.
    Stable,
    /// So many. Shares that others have already end if that is said.
    Share { percent: Percent, ends_others: bool },
    /// Nobody by themselves.
    Nobody,
}

/// The rules that are there, and a project that is to be in them.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) current: &'a Objects,
    pub(super) project: &'a Objects,
    /// The rules are of the named projects, and of no others.
    pub(super) is_whole: bool,
}

impl Plan<'_> {
    /// What has to be written.
    ///
    /// # Errors
    /// What stands against it, and how to go on.
    pub(super) fn changes(&self, releasing: Releasing) -> Result<Merged, String> {
        match releasing {
            Releasing::All(under_way) => self.merge(under_way, self.is_whole),
            Releasing::Stable => self.stable(),
            Releasing::Share { percent, ends_others } => self.shares(percent, ends_others),
            Releasing::Nobody => Ok(Merged { changes: self.versions(), kept: Vec::new() }),
        }
    }

    fn merge(&self, under_way: UnderWay, is_whole: bool) -> Result<Merged, String> {
        let merge = Merge { current: self.current, project: self.project, under_way };
        let merged = if is_whole { merge.whole() } else { merge.own() };
        merged.map_err(|error| error.to_string())
    }

    fn stable(&self) -> Result<Merged, String> {
        let mut merged = self.merge(UnderWay::Keep, false)?;
        for change in &mut merged.changes {
            let Change::Put(Object::Release(name, release)) = change else { continue };
            let new = self.project.releases[name].stable;
            let mut moved = Release { stable: new, ..Release::clone(release) };
            moved.shares.retain(|share| share.version != new);
            *release = Arc::new(moved);
        }
        merged.kept.clear();
        Ok(merged)
    }

    /// A function that is there changes in nothing but its release: what a manifest says of routes and limits holds for
    /// everybody, and only some are to see the new version. One that is new is all there is.
    fn shares(&self, percent: Percent, ends_others: bool) -> Result<Merged, String> {
        let released = |name: &FunctionName| self.current.releases.get(name);
        let is_new: BTreeSet<_> =
            self.project.releases.keys().filter(|name| released(name).is_none()).collect();
        let mut merged = Merged::default();
        for object in self.project.iter() {
            let change = match object {
                Object::Version(..) => Some(object),
                Object::Function(ref name, _) => is_new.contains(name).then_some(object),
                Object::Route(_, ref route) => is_new.contains(&route.function).then_some(object),
                Object::Release(name, new) => Some(match released(&name) {
                    None => Object::Release(name, new),
                    Some(old) => {
                        let release = share(&name, old, &new, percent, ends_others)?;
                        Object::Release(name, Arc::new(release))
                    }
                }),
            };
            merged.changes.extend(change.map(Change::Put));
        }
        Ok(merged)
    }

    fn versions(&self) -> Vec<Change> {
        let versions = self.project.versions.iter();
        versions
            .map(|(id, version)| Change::Put(Object::Version(*id, Arc::clone(version))))
            .collect()
    }
}

fn share(
    name: &FunctionName,
    old: &Release,
    new: &Release,
    percent: Percent,
    ends_others: bool,
) -> Result<Release, String> {
    let mut release = old.clone();
    if new.stable == old.stable {
        return Ok(release);
    }
    if !ends_others && old.shares.iter().any(|share| share.version != new.stable) {
        return Err(format!(
            "another version of {name} has a share already: finish its release first (hatchway release), or end it with \
             --end-releases"
        ));
    }
    release.shares = vec![Share { version: new.stable, basis_points: percent.0 }].into();
    match release.mistakes().first() {
        Some(mistake) => Err(format!("{name}: {mistake}")),
        None => Ok(release),
    }
}

#[cfg(test)]
mod tests {
    use hatchway_proto::catalog::Key;

    use super::*;

    const OLD: &str = "0000000000000001";
    const NEW: &str = "0000000000000002";
    const CANARY: &str = "0000000000000003";

    fn objects(version: &str, release: &str) -> Objects {
        let text = format!(
            r#"{{"functions": {{"local/a": {{}}}}, "routes": {{"r": {{"path": "/", "function": "local/a"}}}},
            "releases": {{"local/a": {release}}}, "versions": {{"{version}": {{
                "function": "local/a", "package": {{"digest": ""}}, "runtime": {{"kind": "command", "argv": ["a"]}},
                "resources": {{"cpu_millis": 1, "memory_bytes": 1, "pids": 1, "files": 1, "tmp_bytes": 1}},
                "concurrency": 1, "min": 0, "max": 1, "idle_timeout": "1s",
                "clocks": {{"queue": "1s", "start": "1s", "first_byte": "1s", "idle": "1s", "run": "1s"}}}}}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn all(version: &str) -> String {
        format!(r#"{{"stable": "{version}"}}"#)
    }

    fn plan(current: &Objects, releasing: Releasing) -> Result<Merged, String> {
        let project = objects(NEW, &all(NEW));
        Plan { current, project: &project, is_whole: false }.changes(releasing)
    }

    /// The kinds of what is written, and what the release is then: stable, and shares.
    fn told(merged: &Merged) -> (String, Option<String>) {
        let (mut kinds, mut told) = (String::new(), None);
        for change in &merged.changes {
            let Change::Put(object) = change else { panic!("{change:?}") };
            kinds.push(match object.key() {
                Key::Function(_) => 'f',
                Key::Version(_) => 'v',
                Key::Route(_) => 'r',
                Key::Release(_) => 'R',
            });
            if let Object::Release(_, release) = object {
                let shares = release.shares.iter();
                let shares =
                    shares.map(|share| format!("{}={}", share.version, share.basis_points));
                told = Some(format!("{} {}", release.stable, shares.collect::<Vec<_>>().join(",")));
            }
        }
        (kinds, told)
    }

    const FIVE: Releasing = Releasing::Share { percent: Percent(500), ends_others: false };

    #[test]
    fn a_share_changes_nothing_but_the_release() {
        let merged = plan(&objects(OLD, &all(OLD)), FIVE).unwrap();
        assert_eq!(told(&merged), ("vR".to_owned(), Some(format!("{OLD} {NEW}=500"))));
        let merged = plan(&Objects::default(), FIVE).unwrap();
        assert_eq!(told(&merged), ("fvrR".to_owned(), Some(format!("{NEW} "))), "a new function");
        let merged = plan(&objects(NEW, &all(NEW)), FIVE).unwrap();
        assert_eq!(told(&merged), ("vR".to_owned(), Some(format!("{NEW} "))), "all have it");
    }

    #[test]
    fn the_share_of_another_version_does_not_end_by_the_way() {
        let shares = format!(r#"[{{"version": "{CANARY}", "basis_points": 100}}]"#);
        let current = objects(OLD, &format!(r#"{{"stable": "{OLD}", "shares": {shares}}}"#));
        assert!(plan(&current, FIVE).unwrap_err().contains("--end-releases"));
        let ended = Releasing::Share { percent: Percent(500), ends_others: true };
        let (_, release) = told(&plan(&current, ended).unwrap());
        assert_eq!(release, Some(format!("{OLD} {NEW}=500")));
        assert!(plan(&current, Releasing::All(UnderWay::Refuse)).is_err());
        let (_, release) = told(&plan(&current, Releasing::Stable).unwrap());
        assert_eq!(release, Some(format!("{NEW} {CANARY}=100")), "who has a share keeps it");
    }

    #[test]
    fn without_a_release_only_the_version_is_there() {
        let merged = plan(&objects(OLD, &all(OLD)), Releasing::Nobody).unwrap();
        assert_eq!(told(&merged), ("v".to_owned(), None));
    }
}
