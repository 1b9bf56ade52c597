//! Objects become a snapshot. Pure: what was, and what is now, give what will be served.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use hatchway_proto::catalog::{Function, Objects, Release};
use hatchway_proto::name::FunctionName;

use super::snapshot::{ReleaseTarget, Snapshot, Target};
use crate::admit::Rate;
use crate::metrics::FunctionMetrics;
use crate::route::Table;

/// The snapshot for `objects`. An object that leads nowhere is left out and named in `problems`; the
/// rest applies. Rate limits and metrics of a function live on through a change.
pub fn apply(
    before: &Snapshot,
    objects: Arc<Objects>,
    metrics: impl Fn(&FunctionName) -> FunctionMetrics,
) -> Snapshot {
    let mut problems = Vec::new();
    let mut targets = HashMap::with_capacity(objects.functions.len());
    for (name, function) in &objects.functions {
        let release = objects.releases.get(name);
        let release = release.and_then(|release| {
            let target = release_target(&objects, name, release);
            if target.is_none() {
                problems.push(format!("release {name}: there is no version {}", release.stable));
            }
            target
        });
        let target = match before.targets.get(name) {
            Some(kept) => keep(kept, function, release),
            None => Target {
                name: name.clone(),
                function: Arc::clone(function),
                release,
                rate: Arc::new(Rate::new(function.rate_per_second)),
                metrics: Arc::new(metrics(name)),
            },
        };
        targets.insert(name.clone(), Arc::new(target));
    }
    let mut routes = Table::default();
    for (name, route) in &objects.routes {
        match targets.get(&route.function) {
            Some(target) => {
                routes.insert(route.host.as_deref(), &route.path, Arc::clone(target));
            }
            None => problems.push(format!("route {name}: there is no function {}", route.function)),
        }
    }
    Snapshot {
        routes,
        targets,
        objects,
        revision: before.revision + 1,
        applied: SystemTime::now(),
        problems,
    }
}

fn release_target(
    objects: &Objects,
    name: &FunctionName,
    release: &Release,
) -> Option<ReleaseTarget> {
    let version = objects.versions.get(&release.stable)?;
    (version.function == *name).then(|| ReleaseTarget {
        function: name.clone(),
        version: release.stable,
        run_clock: version.clocks.run,
        has_assets: version.assets.is_some(),
    })
}

fn keep(kept: &Target, function: &Arc<Function>, release: Option<ReleaseTarget>) -> Target {
    let same_rate = kept.function.rate_per_second == function.rate_per_second;
    Target {
        name: kept.name.clone(),
        function: Arc::clone(function),
        release,
        rate: if same_rate {
            Arc::clone(&kept.rate)
        } else {
            Arc::new(Rate::new(function.rate_per_second))
        },
        metrics: Arc::clone(&kept.metrics),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(text: &str) -> Arc<Objects> {
        Arc::new(serde_json::from_str(text).unwrap())
    }

    fn applied(before: &Snapshot, text: &str) -> Snapshot {
        apply(before, objects(text), |_| FunctionMetrics::unregistered())
    }

    #[test]
    fn what_leads_nowhere_is_named_and_the_rest_serves() {
        let after = applied(
            &Snapshot::default(),
            r#"{
              "functions": {"local/a": {}, "local/b": {}},
              "versions": {},
              "routes": {
                "r1": {"path": "/a", "function": "local/a"},
                "r2": {"path": "/x", "function": "local/x"}
              },
              "releases": {"local/b": {"stable": "0123456789abcdef"}}
            }"#,
        );
        assert!(after.routes.resolve("h", "/a").is_some());
        assert!(after.routes.resolve("h", "/x").is_none());
        assert_eq!(
            after.problems,
            [
                "release local/b: there is no version 0123456789abcdef",
                "route r2: there is no function local/x",
            ]
        );
    }

    #[test]
    fn a_change_of_the_rules_does_not_forget_what_was_used_of_a_rate() {
        let text = r#"{"functions": {"local/a": {"rate_per_second": 1}},
                       "versions": {}, "routes": {}, "releases": {}}"#;
        let first = applied(&Snapshot::default(), text);
        let name = FunctionName::parse("a").unwrap();
        assert!(first.targets[&name].rate.enter().is_ok());
        let second = applied(&first, text);
        assert!(second.targets[&name].rate.enter().is_err());
        assert_eq!(second.revision, 2);
    }
}
