//! The catalog in etcd, which several projects share: what this one does not name is left alone, but for routes that
//! its functions no longer have.

use std::sync::Arc;

use hatchway_proto::catalog::{Key, Object, Objects, Release};
use hatchway_proto::name::FunctionName;
use hatchway_wire::catalog::etcd::push::{Author, Change, PushError, Store};
use serde_json::json;

use super::Args;
use crate::failure::{Failure, Outcome, count};
use crate::project::Project;
use crate::{output, report};

/// Writes what the project changes.
pub(super) fn apply(args: &Args, project: &Project) -> Outcome {
    let config = args.etcd.check().map_err(|error| Failure::Settings(error.to_string()))?;
    let author = Author { who: who(), why: args.message.clone() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime
        .map_err(|source| Failure::Io { what: "could not start a runtime".to_owned(), source })?;
    let written = runtime.block_on(async {
        let store = Store::open(&config).await.map_err(|error| unavailable(args, error))?;
        let changes = changes(&store.objects, &project.objects, args.end_releases)
            .map_err(|function| under_way(&function))?;
        store.push(changes, &author).await.map_err(|error| match error {
            PushError::Conflict { .. } => Failure::Refused(error.to_string()),
            PushError::Etcd(error) => unavailable(args, error),
        })
    })?;
    if args.json {
        let releases = &project.objects.releases;
        return output::json(
            &json!({ "etcd": args.etcd.etcd, "written": written, "releases": releases }),
        );
    }
    report::print_notes(&project.notes);
    let functions = count(project.functions.len(), "function");
    let changed = count(written, "change");
    output::line(&format!("{functions} in {}, {changed} written", args.etcd.etcd.join(",")))
}

fn unavailable(args: &Args, error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    let what = format!("could not write to etcd at {}", args.etcd.etcd.join(","));
    Failure::Unavailable { what, source: Box::new(error) }
}

fn under_way(function: &FunctionName) -> Failure {
    Failure::Refused(format!(
        "a release of {function} is under way, with shares or rules of its own: finish it first, or give everybody \
         the new version with --end-releases"
    ))
}

/// What has to be written, in an order in which nothing is named before it is there: releases after everything that
/// they choose from, and what goes at the very end.
///
/// # Errors
/// The function whose release is under way.
fn changes(
    current: &Objects,
    project: &Objects,
    end_releases: bool,
) -> Result<Vec<Change>, FunctionName> {
    let mut changes = Vec::new();
    for object in project.iter() {
        changes.push(Change::Put(match object {
            Object::Release(name, new) => {
                let old = current.releases.get(&name);
                let release = release(old, &new, end_releases).ok_or_else(|| name.clone())?;
                Object::Release(name, release)
            }
            Object::Function(..) | Object::Version(..) | Object::Route(..) => object,
        }));
    }
    let is_left = |name: &String| !project.routes.contains_key(name);
    for (name, route) in &current.routes {
        if project.functions.contains_key(&route.function) && is_left(name) {
            changes.push(Change::Delete(Key::Route(name.clone())));
        }
    }
    Ok(changes)
}

/// Everybody to the new version; what operators have set beside stays. None when that would end what they are at.
fn release(old: Option<&Arc<Release>>, new: &Release, end_releases: bool) -> Option<Arc<Release>> {
    let Some(old) = old.filter(|_| !end_releases) else { return Some(Arc::new(new.clone())) };
    let is_under_way = !old.shares.is_empty() || !old.rules.is_empty();
    if old.stable == new.stable {
        Some(Arc::clone(old))
    } else if is_under_way {
        None
    } else {
        Some(Arc::new(Release { stable: new.stable, ..Release::clone(old) }))
    }
}

/// As other tools would show it: `ann@laptop`.
fn who() -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{user}@{}", host.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "0000000000000001";
    const NEW: &str = "0000000000000002";

    fn objects(routes: &str, release: &str) -> Objects {
        let text = format!(
            r#"{{"functions": {{"local/a": {{}}}}, "versions": {{}},
                "routes": {{{routes}}}, "releases": {{"local/a": {release}}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn route(name: &str, function: &str) -> String {
        format!(r#""{name}": {{"path": "/", "function": "{function}"}}"#)
    }

    #[test]
    fn routes_that_a_function_no_longer_has_go_and_those_of_others_stay() {
        let routes =
            [route("local.a.0", "local/a"), route("local.a.1", "local/a"), route("b", "local/b")];
        let current = objects(&routes.join(","), &format!(r#"{{"stable": "{OLD}"}}"#));
        let project = objects(&route("local.a.0", "local/a"), &format!(r#"{{"stable": "{NEW}"}}"#));
        let changes = changes(&current, &project, false).unwrap();
        let keys: Vec<_> = changes.iter().map(|change| change.key().to_string()).collect();
        let expected =
            ["functions/local/a", "routes/local.a.0", "releases/local/a", "routes/local.a.1"];
        assert_eq!(keys, expected);
        assert!(matches!(changes[3], Change::Delete(_)));
    }

    #[test]
    fn a_release_that_is_under_way_is_not_ended_by_the_way() {
        let new = objects("", &format!(r#"{{"stable": "{NEW}"}}"#));
        let canary = format!(
            r#"{{"stable": "{OLD}", "shares": [{{"version": "{NEW}", "basis_points": 100}}]}}"#
        );
        let current = objects("", &canary);
        assert_eq!(changes(&current, &new, false).unwrap_err().as_str(), "local/a");
        assert!(changes(&current, &new, true).is_ok());
        let same = objects("", &format!(r#"{{"stable": "{OLD}"}}"#));
        assert!(changes(&current, &same, false).is_ok());

        let tagged = format!(r#"{{"stable": "{OLD}", "tags": {{"next": "{NEW}"}}}}"#);
        let changes = changes(&objects("", &tagged), &new, false).unwrap();
        let Change::Put(Object::Release(_, release)) = &changes[1] else { panic!("{changes:?}") };
        assert_eq!((release.stable.as_str(), release.tags.len()), (NEW, 1));
    }
}
