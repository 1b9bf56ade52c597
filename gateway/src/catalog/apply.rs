//! Objects become a snapshot. Pure: what was, and what is now, give what will be served.
//!
//! Only what differs is looked at, and what is the same is shared: a change costs as much as it changes, whatever the size of
//! the catalog. An object that is wrong is named in `problems`, and its last good form goes on serving.

use std::sync::Arc;
use std::time::SystemTime;

use hatchway_proto::catalog::{Objects, Route};
use hatchway_proto::name::FunctionName;
use imbl::ordmap::DiffItem;

use super::degrades::Degrades;
use super::snapshot::{Snapshot, Target, served};
use super::targets::Place;
use crate::admit::{Line, Rate};
use crate::route::{Releases, table};

/// The snapshot for `objects`. Rate limits and metrics of a function live on through a change.
pub fn apply(before: &Snapshot, objects: Arc<Objects>) -> Snapshot {
    let mut after = before.clone();
    let was = std::mem::replace(&mut after.objects, objects);
    for function in after.objects.changed_functions(&was) {
        let was_there = after.targets.get(&function).is_some();
        after.set_function(&function);
        after.look_at_routes_of(&function, was_there, &was);
    }
    let now = Arc::clone(&after.objects);
    for change in was.routes.diff(&now.routes) {
        match change {
            DiffItem::Add(name, route) | DiffItem::Update { new: (name, route), .. } => {
                after.set_route(name, route, &was);
            }
            DiffItem::Remove(name, _) => after.forget_route(name, &was),
        }
    }
    after.revision += 1;
    after.applied = SystemTime::now();
    after
}

impl Snapshot {
    fn set_function(&mut self, name: &FunctionName) {
        self.is_well("release", name.as_str());
        self.is_well("function", name.as_str());
        let Some(function) = self.objects.functions.get(name) else {
            let before = self.targets.remove(name);
            self.limited.remove(name);
            self.growing.remove(name);
            self.lanes -= before.map_or(0, |before| usize::from(before.knows_lanes()));
            return;
        };
        let known = self.targets.get(name);
        let function = match function.mistakes(name).first() {
            None => function,
            Some(mistake) => {
                self.problems.insert(format!("function {name}"), mistake.to_string());
                let Some(known) = known else { return };
                &known.function
            }
        };
        let version = |id: &_| self.objects.versions.get(id).map(|version| &**version);
        let release = self.objects.releases.get(name);
        let releases = match release.map(|release| Releases::new(name, release, version)) {
            None => None,
            Some(Ok(releases)) => {
                Some(releases.counted(known.and_then(|known| known.releases.as_ref())))
            }
            Some(Err(why)) => {
                self.problems.insert(format!("release {name}"), why);
                known.and_then(|known| known.releases.clone())
            }
        };
        let is_same_rate =
            |known: &&Arc<Target>| known.function.rate_per_second == function.rate_per_second;
        // A limit that changes begins anew: what is under way by the old one is not counted by the new.
        let is_same_line =
            |known: &&Arc<Target>| known.function.max_in_flight == function.max_in_flight;
        let target = Target {
            name: name.clone(),
            place: Place::default(),
            function: Arc::clone(function),
            degrade: Degrades::new(function, release.map(|release| &**release)),
            releases,
            rate: known.filter(is_same_rate).map_or_else(
                || function.rate_per_second.map(|rate| Arc::new(Rate::new(rate))),
                |known| known.rate.clone(),
            ),
            line: known.filter(is_same_line).map_or_else(
                || function.max_in_flight.map(|most| Arc::new(Line::new(most))),
                |known| known.line.clone(),
            ),
            metrics: known.map(|known| Arc::clone(&known.metrics)).unwrap_or_default(),
        };
        match &target.rate {
            Some(rate) => drop(self.limited.insert(name.clone(), Arc::clone(rate))),
            None => drop(self.limited.remove(name)),
        }
        match target.function.growth.is_some() {
            true => drop(self.growing.insert(name.clone())),
            false => drop(self.growing.remove(name)),
        }
        self.lanes += usize::from(target.knows_lanes());
        let before = self.targets.insert(target);
        self.lanes -= before.map_or(0, |before| usize::from(before.knows_lanes()));
    }

    /// Names the routes to a function that is not there, and no others; tells those that waited for it where it stands.
    fn look_at_routes_of(&mut self, function: &FunctionName, was_there: bool, was: &Objects) {
        let is_there = self.targets.get(function).is_some();
        if was_there == is_there {
            return;
        }
        let place = self.targets.place(function);
        let names: Vec<_> = self.names_of(function).cloned().collect();
        for name in names {
            self.say_whether_dangling(&name, function);
            if let Some(route) = served(&self.kept, was, &name).filter(|_| is_there).cloned() {
                let put = self.table.insert(&name, &route, place);
                debug_assert_eq!(put, Ok(()), "what was compiled once can be compiled again");
            }
        }
    }

    fn say_whether_dangling(&mut self, route: &str, function: &FunctionName) {
        if self.targets.get(function).is_some() {
            self.is_well("route", route);
        } else {
            let why = format!("there is no function {function}");
            self.problems.insert(format!("route {route}"), why);
        }
    }

    fn set_route(&mut self, name: &Arc<str>, route: &Arc<Route>, was: &Objects) {
        let before = served(&self.kept, was, name).cloned();
        let added = match route.mistakes().first() {
            Some(mistake) => Err(mistake.to_string()),
            None => self.table.insert(name, route, self.targets.place(&route.function)),
        };
        if let Err(why) = added {
            self.kept.insert(Arc::clone(name), before);
            self.problems.insert(format!("route {name}"), why);
            return;
        }
        self.kept.remove(name);
        if let Some(before) = before {
            if !table::is_same_place(&before, route) {
                self.table.remove(name, &before);
            }
            self.routes_of.remove(&(before.function.clone(), Arc::clone(name)));
            self.lanes -= usize::from(knows_lanes(&before));
        }
        self.lanes += usize::from(knows_lanes(route));
        self.routes_of.insert((route.function.clone(), Arc::clone(name)));
        self.say_whether_dangling(name, &route.function);
    }

    fn forget_route(&mut self, name: &Arc<str>, was: &Objects) {
        if let Some(before) = served(&self.kept, was, name).cloned() {
            self.table.remove(name, &before);
            self.lanes -= usize::from(knows_lanes(&before));
            self.routes_of.remove(&(before.function.clone(), Arc::clone(name)));
        }
        self.kept.remove(name);
        self.is_well("route", name);
    }

    /// There is no problem with it any more.
    fn is_well(&mut self, kind: &str, name: &str) {
        if !self.problems.is_empty() {
            self.problems.remove(&format!("{kind} {name}"));
        }
    }
}

fn knows_lanes(route: &Route) -> bool {
    route.lane.is_some() || route.accepts_lane
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hatchway_proto::http1::{Limits, parse_request};
    use serde_json::json;

    use super::*;
    use crate::route::Asked;

    fn applied(before: &Snapshot, objects: serde_json::Value) -> Snapshot {
        let objects = Arc::new(serde_json::from_value(objects).unwrap());
        apply(before, objects)
    }

    fn version(function: &str) -> serde_json::Value {
        json!({
            "function": function, "package": {"root": "/", "digest": ""}, "runtime": {"kind": "command", "argv": ["a"]},
            "resources": {"cpu_millis": 1, "memory_bytes": 1, "pids": 1, "files": 1, "tmp_bytes": 1},
            "concurrency": 1, "min": 0, "max": 1, "idle_timeout": "1s",
            "clocks": {"queue": "1s", "start": "1s", "first_byte": "1s", "idle": "1s", "run": "1s"}
        })
    }

    /// The function and the stable version that a path leads to.
    fn at(snapshot: &Snapshot, path: &str) -> String {
        let text = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
        let head = parse_request(text.as_bytes(), &Limits::default()).unwrap().unwrap();
        let Some(found) = snapshot.resolve(Asked { head: &head, client: None }) else {
            return "none".to_owned();
        };
        let stable = found.target.releases.as_ref().map(|releases| releases.stable().version);
        format!("{} {}", found.target.name.name(), stable.map_or("-".into(), |id| id.to_string()))
    }

    fn target<'s>(snapshot: &'s Snapshot, name: &FunctionName) -> &'s Target {
        snapshot.targets.get(name).expect("it is known")
    }

    fn problems(snapshot: &Snapshot) -> Vec<String> {
        snapshot.problems.iter().map(|(object, why)| format!("{object}: {why}")).collect()
    }

    #[test]
    fn what_leads_nowhere_is_named_and_the_rest_serves() {
        let after = applied(
            &Snapshot::default(),
            json!({
              "functions": {"local/a": {}, "local/b": {}}, "versions": {},
              "routes": {"r1": {"path": "/a", "function": "a"}, "r2": {"path": "/x", "function": "x"}},
              "releases": {"local/b": {"stable": "0123456789abcdef"}}
            }),
        );
        assert_eq!((at(&after, "/a").as_str(), at(&after, "/x").as_str()), ("a -", "none"));
        assert_eq!(
            problems(&after),
            [
                "release local/b: there is no version 0123456789abcdef",
                "route r2: there is no function local/x",
            ]
        );
    }

    #[test]
    fn the_last_good_form_of_an_object_goes_on_serving() {
        let objects = |route: serde_json::Value, release: serde_json::Value| {
            json!({
              "functions": {"local/a": {}},
              "versions": {"00000000000000aa": version("a")},
              "routes": {"r": route, "other": {"path": "/other", "function": "a"}},
              "releases": {"local/a": release}
            })
        };
        let good = json!({"path": "/a", "function": "a"});
        let release = json!({"stable": "00000000000000aa"});
        let first = applied(&Snapshot::default(), objects(good.clone(), release.clone()));
        assert_eq!((at(&first, "/a").as_str(), problems(&first).len()), ("a 00000000000000aa", 0));

        let bad_route = json!({"path": "(", "path_match": "regex", "function": "a"});
        let bad_release = json!({"stable": "00000000000000bb"});
        let second = applied(&first, objects(bad_route, bad_release));
        assert_eq!(at(&second, "/a"), "a 00000000000000aa");
        assert_eq!(
            problems(&second),
            [
                "release local/a: there is no version 00000000000000bb",
                "route r: path: unclosed group"
            ]
        );

        let third = applied(&second, objects(json!({"path": "/b", "function": "a"}), release));
        assert_eq!(
            (at(&third, "/a").as_str(), at(&third, "/b").as_str()),
            ("none", "a 00000000000000aa")
        );
        assert_eq!(problems(&third), Vec::<String>::new());
        assert_eq!(at(&second, "/a"), "a 00000000000000aa", "a request under way keeps its rules");
    }

    #[test]
    fn a_route_waits_for_its_function_and_a_release_for_its_version() {
        let mut objects = json!({
            "functions": {}, "versions": {}, "routes": {"r": {"path": "/", "function": "a"}},
            "releases": {"local/a": {"stable": "00000000000000aa"}}
        });
        let first = applied(&Snapshot::default(), objects.clone());
        assert_eq!((at(&first, "/").as_str(), problems(&first).len()), ("none", 1));
        objects["functions"] = json!({"local/a": {}});
        let second = applied(&first, objects.clone());
        assert_eq!((at(&second, "/").as_str(), problems(&second).len()), ("a -", 1));
        objects["versions"] = json!({"00000000000000aa": version("a")});
        let third = applied(&second, objects.clone());
        assert_eq!((at(&third, "/").as_str(), problems(&third).len()), ("a 00000000000000aa", 0));
        objects["functions"] = json!({});
        let fourth = applied(&third, objects);
        assert_eq!((at(&fourth, "/").as_str(), problems(&fourth).len()), ("none", 1));
    }

    #[test]
    fn a_route_moves_with_all_that_is_known_of_it() {
        let objects = |path: &str, function: &str| {
            json!({"functions": {"local/a": {}, "local/b": {}}, "versions": {}, "releases": {},
                   "routes": {"r": {"path": path, "function": function}}})
        };
        let [a, b] = ["a", "b"].map(|name| FunctionName::parse(name).unwrap());
        let first = applied(&Snapshot::default(), objects("/a", "a"));
        assert_eq!((first.routes_of(&a).count(), first.routes_of(&b).count()), (1, 0));
        let second = applied(&first, objects("/a/", "b"));
        assert_eq!((second.routes_of(&a).count(), second.routes_of(&b).count()), (0, 1));
        assert_eq!(at(&second, "/a"), "b -");
        let none = json!({"functions": {}, "versions": {}, "releases": {}, "routes": {}});
        let third = applied(&second, none);
        assert_eq!((third.routes_of(&b).count(), at(&third, "/a").as_str()), (0, "none"));
        assert!(third.routes_of.is_empty() && third.targets.is_empty() && third.kept.is_empty());
    }

    #[test]
    fn lanes_are_looked_for_while_somebody_knows_of_them() {
        let objects = |route: serde_json::Value, lanes: serde_json::Value| {
            json!({
              "functions": {"local/a": {}}, "versions": {"00000000000000aa": version("a")}, "routes": {"r": route},
              "releases": {"local/a": {"stable": "00000000000000aa", "lanes": lanes}}
            })
        };
        let plain = json!({"path": "/", "function": "a"});
        let blue = json!({"path": "/", "function": "a", "lane": "blue"});
        let lanes = json!({"blue": "00000000000000aa"});
        let mut snapshot = Snapshot::default();
        for (route, lanes, count) in [
            (&plain, json!({}), 0),
            (&blue, json!({}), 1),
            (&blue, lanes.clone(), 2),
            (&blue, lanes.clone(), 2),
            (&plain, lanes, 1),
            (&plain, json!({}), 0),
        ] {
            snapshot = applied(&snapshot, objects(route.clone(), lanes));
            assert_eq!(snapshot.lanes, count);
        }
        let known = applied(&snapshot, objects(blue, json!({"blue": "00000000000000aa"})));
        let none = json!({"functions": {}, "versions": {}, "releases": {}, "routes": {}});
        assert_eq!((known.lanes, applied(&known, none).lanes), (2, 0));
    }

    #[test]
    fn a_change_of_the_rules_does_not_forget_what_was_used_of_a_rate() {
        let text = |queue| {
            json!({"functions": {"local/a": {"rate_per_second": 1, "queue_depth": queue}},
                   "versions": {}, "routes": {}, "releases": {}})
        };
        let first = applied(&Snapshot::default(), text(1));
        let name = FunctionName::parse("a").unwrap();
        assert!(target(&first, &name).enter().is_ok());
        let second = applied(&first, text(2));
        assert!(target(&second, &name).enter().is_err());
        assert_eq!((second.revision, target(&second, &name).function.queue_depth), (2, 2));
    }

    /// The figure: `cargo test --release -p hatchway-gateway changes_cost -- --ignored --nocapture`.
    #[test]
    #[ignore = "a figure of an optimised build"]
    fn changes_cost_what_they_change() {
        const MANY: usize = 100_000;
        let mut objects = Objects::default();
        let version: hatchway_proto::catalog::Version =
            serde_json::from_value(version("a")).unwrap();
        for n in 0..MANY {
            let name = FunctionName::parse(&format!("f{n}")).unwrap();
            let id = hatchway_proto::name::VersionId::parse(&format!("{n:016x}")).unwrap();
            let version =
                hatchway_proto::catalog::Version { function: name.clone(), ..version.clone() };
            let route = Route::prefix(None, format!("/f/{n}"), name.clone());
            objects.functions.insert(name.clone(), Arc::new(serde_json::from_str("{}").unwrap()));
            objects.versions.insert(id, Arc::new(version));
            objects.routes.insert(format!("r{n}").into(), Arc::new(route));
            let release = hatchway_proto::catalog::Release::of(id);
            objects.releases.insert(name, Arc::new(release));
        }
        let begun = std::time::Instant::now();
        let mut snapshot = apply(&Snapshot::default(), Arc::new(objects.clone()));
        println!("{MANY} routes, functions and versions applied in {:?}", begun.elapsed());
        let mut each = Vec::new();
        for n in 0..1000 {
            let name = FunctionName::parse(&format!("f{}", n * 97)).unwrap();
            let route = Route::prefix(None, format!("/g/{n}"), name);
            objects.routes.insert(format!("r{}", n * 97).into(), Arc::new(route));
            let begun = std::time::Instant::now();
            snapshot = apply(&snapshot, Arc::new(objects.clone()));
            each.push(begun.elapsed());
        }
        each.sort();
        println!("one change applied in {:?} (p50), {:?} (p99)", each[500], each[990]);
        assert_eq!(at(&snapshot, "/g/7").split(' ').next(), Some("f679"));
        assert!(each[500] < Duration::from_secs(1), "it does not look at everything");
    }
}
