//! What applying a project changes of the rules that are there: pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use hatchway_proto::catalog::{Key, Object, Objects, Release};
use hatchway_proto::name::FunctionName;
use hatchway_wire::catalog::store::Change;

/// What becomes of a release that has shares or rules, of which a manifest knows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnderWay {
    /// Nothing is applied while there is one that would have to change.
    Refuse,
    /// It stays; the new version serves nobody by itself.
    Keep,
    /// Everybody gets the new version.
    End,
}

/// The rules that are there, and a project that is to be in them.
#[derive(Debug)]
pub(crate) struct Merge<'a> {
    pub(crate) current: &'a Objects,
    pub(crate) project: &'a Objects,
    pub(crate) under_way: UnderWay,
}

/// What has to be written.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    /// In an order in which nothing is named before it is there: what goes comes last.
    pub(crate) changes: Vec<Change>,
    /// Functions whose releases are under way and stay as they are.
    pub(crate) kept: Vec<FunctionName>,
}

/// A release would have to end that an operator has not said may end.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a release of {0} is under way, with shares or rules of its own that the manifest does not state: finish it first \
     (hatchway release), add the new version beside it with --keep-releases, or give everybody the new version with \
     --end-releases"
)]
pub(crate) struct ReleaseUnderWay(FunctionName);

impl Merge<'_> {
    /// The project beside all others: of what is there, only routes go that its functions no longer have.
    ///
    /// # Errors
    /// [`ReleaseUnderWay`].
    pub(crate) fn own(&self) -> Result<Merged, ReleaseUnderWay> {
        let mut merged = self.puts()?;
        let is_left = |name: &str| !self.project.routes.contains_key(name);
        for (name, route) in &self.current.routes {
            if self.project.functions.contains_key(&route.function) && is_left(name) {
                merged.changes.push(Change::Delete(Key::Route(name.to_string())));
            }
        }
        Ok(merged)
    }

    /// The project and nothing else, but for versions that its releases name.
    ///
    /// # Errors
    /// [`ReleaseUnderWay`], also of a function that is no longer there.
    pub(crate) fn whole(&self) -> Result<Merged, ReleaseUnderWay> {
        let mut merged = self.puts()?;
        let mut named = BTreeSet::new();
        for change in &merged.changes {
            if let Change::Put(Object::Release(_, release)) = change {
                named.extend(release.versions());
            }
        }
        let current: Vec<Key> = self.current.iter().map(|object| object.key()).collect();
        for key in current.into_iter().rev() {
            let is_in = self.project.get(&key).is_some();
            let is_named = matches!(&key, Key::Version(id) if named.contains(id));
            if is_in || is_named {
                continue;
            }
            if let Key::Release(name) = &key
                && self.under_way != UnderWay::End
                && self.current.releases.get(name).is_some_and(|it| is_under_way(it))
            {
                return Err(ReleaseUnderWay(name.clone()));
            }
            merged.changes.push(Change::Delete(key));
        }
        Ok(merged)
    }

    fn puts(&self) -> Result<Merged, ReleaseUnderWay> {
        let mut merged = Merged::default();
        for object in self.project.iter() {
            merged.changes.push(Change::Put(match object {
                Object::Release(name, new) => {
                    let release = self.release(&name, &new)?;
                    if is_under_way(&release) {
                        merged.kept.push(name.clone());
                    }
                    Object::Release(name, release)
                }
                Object::Function(..) | Object::Version(..) | Object::Route(..) => object,
            }));
        }
        Ok(merged)
    }

    /// Everybody to the new version; what operators have set beside stays.
    fn release(&self, name: &FunctionName, new: &Release) -> Result<Arc<Release>, ReleaseUnderWay> {
        let old = self.current.releases.get(name).filter(|_| self.under_way != UnderWay::End);
        let Some(old) = old else { return Ok(Arc::new(new.clone())) };
        if old.stable == new.stable || is_under_way(old) && self.under_way == UnderWay::Keep {
            Ok(Arc::clone(old))
        } else if is_under_way(old) {
            Err(ReleaseUnderWay(name.clone()))
        } else {
            Ok(Arc::new(Release { stable: new.stable, ..Release::clone(old) }))
        }
    }
}

/// A manifest says nothing of shares and rules: somebody is at something.
fn is_under_way(release: &Release) -> bool {
    !release.shares.is_empty() || !release.rules.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "0000000000000001";
    const NEW: &str = "0000000000000002";

    fn version(id: &str) -> String {
        format!(
            r#""{id}": {{
            "function": "local/a", "package": {{"root": "/", "digest": ""}}, "runtime": {{"kind": "command", "argv": ["a"]}},
            "resources": {{"cpu_millis": 1, "memory_bytes": 1, "pids": 1, "files": 1, "tmp_bytes": 1}},
            "concurrency": 1, "min": 0, "max": 1, "idle_timeout": "1s",
            "clocks": {{"queue": "1s", "start": "1s", "first_byte": "1s", "idle": "1s", "run": "1s"}}}}"#
        )
    }

    fn objects(versions: &[&str], routes: &str, release: &str) -> Objects {
        let versions: Vec<_> = versions.iter().map(|id| version(id)).collect();
        let text = format!(
            r#"{{"functions": {{"local/a": {{}}}}, "versions": {{{}}},
                "routes": {{{routes}}}, "releases": {{"local/a": {release}}}}}"#,
            versions.join(",")
        );
        serde_json::from_str(&text).unwrap()
    }

    fn stable(id: &str) -> String {
        format!(r#"{{"stable": "{id}"}}"#)
    }

    /// One percent of `NEW`, the rest of `OLD`.
    fn canary() -> String {
        format!(r#"{{"stable": "{OLD}", "shares": [{{"version": "{NEW}", "basis_points": 100}}]}}"#)
    }

    fn route(name: &str, function: &str) -> String {
        format!(r#""{name}": {{"path": "/", "function": "{function}"}}"#)
    }

    fn keys(merged: &Merged) -> Vec<String> {
        let key = |change: &Change| match change {
            Change::Put(object) => object.key().to_string(),
            Change::Delete(key) => format!("- {key}"),
        };
        merged.changes.iter().map(key).collect()
    }

    fn merge<'a>(current: &'a Objects, project: &'a Objects, under_way: UnderWay) -> Merge<'a> {
        Merge { current, project, under_way }
    }

    #[test]
    fn routes_that_a_function_no_longer_has_go_and_those_of_others_stay() {
        let routes =
            [route("local.a.0", "local/a"), route("local.a.1", "local/a"), route("b", "local/b")];
        let current = objects(&[OLD], &routes.join(","), &stable(OLD));
        let project = objects(&[NEW], &route("local.a.0", "local/a"), &stable(NEW));
        let merge = merge(&current, &project, UnderWay::Refuse);
        let version = format!("versions/{NEW}");
        let puts = ["functions/local/a", &version, "routes/local.a.0", "releases/local/a"];
        let own = keys(&merge.own().unwrap());
        assert_eq!(own, [&puts[..], &["- routes/local.a.1"]].concat());
        let old = format!("- versions/{OLD}");
        let whole = keys(&merge.whole().unwrap());
        assert_eq!(whole, [&puts[..], &["- routes/local.a.1", "- routes/b", &old]].concat());
    }

    #[test]
    fn a_release_that_is_under_way_is_not_ended_by_the_way() {
        let current = objects(&[OLD, NEW], "", &canary());
        let newer = "0000000000000003";
        let project = objects(&[newer], "", &stable(newer));
        for applied in [Merge::own, Merge::whole] {
            let error = applied(&merge(&current, &project, UnderWay::Refuse)).unwrap_err();
            assert!(error.to_string().contains("a release of local/a is under way"), "{error}");
            let kept = applied(&merge(&current, &project, UnderWay::Keep)).unwrap();
            assert_eq!(kept.kept.len(), 1);
            let Change::Put(Object::Release(_, release)) = &kept.changes[2] else { panic!() };
            assert_eq!(*release, current.releases[&FunctionName::parse("local/a").unwrap()]);
            assert!(!keys(&kept).contains(&format!("- versions/{OLD}")), "its versions stay");
            let ended = applied(&merge(&current, &project, UnderWay::End)).unwrap();
            let Change::Put(Object::Release(_, release)) = &ended.changes[2] else { panic!() };
            assert_eq!((release.stable.as_str(), release.shares.len()), (newer, 0));
        }
    }

    #[test]
    fn a_release_of_the_same_stable_version_stays_with_all_that_it_has() {
        let current = objects(&[OLD, NEW], "", &canary());
        let project = objects(&[OLD], "", &stable(OLD));
        let merged = merge(&current, &project, UnderWay::Refuse).whole().unwrap();
        assert_eq!((merged.kept.len(), merged.changes.len()), (1, 3), "{merged:?}");
    }

    #[test]
    fn tags_stay_and_a_function_that_goes_takes_no_canary_with_it() {
        let tagged = format!(r#"{{"stable": "{OLD}", "tags": {{"next": "{OLD}"}}}}"#);
        let (current, project) = (objects(&[OLD], "", &tagged), objects(&[NEW], "", &stable(NEW)));
        let merged = merge(&current, &project, UnderWay::Refuse).own().unwrap();
        let Change::Put(Object::Release(_, release)) = &merged.changes[2] else { panic!() };
        assert_eq!((release.stable.as_str(), release.tags.len()), (NEW, 1));

        let (current, nothing) = (objects(&[OLD, NEW], "", &canary()), Objects::default());
        assert!(merge(&current, &nothing, UnderWay::Keep).whole().is_err());
        assert_eq!(merge(&current, &nothing, UnderWay::End).whole().unwrap().changes.len(), 4);
    }
}
