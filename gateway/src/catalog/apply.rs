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
use crate::admit::{Line, Rate};
use crate::route::{Releases, table};

#[cfg(test)]
mod tests;

/// The snapshot for `objects`. Rate limits and metrics of a function live on through a change.
pub fn apply(before: &Snapshot, objects: Arc<Objects>) -> Snapshot {
    let mut after = before.clone();
    let was = std::mem::replace(&mut after.objects, objects);
    let mut unsettled = Vec::new();
    for function in after.objects.changed_functions(&was) {
        let was_there = after.targets.get(&function).is_some();
        after.set_function(&function);
        after.look_at_routes_of(&function, was_there);
        unsettled.extend_from_slice(after.leading.few(&function).unwrap_or_default());
    }
    let now = Arc::clone(&after.objects);
    for change in was.routes.diff(&now.routes) {
        match change {
            DiffItem::Add(name, route) | DiffItem::Update { new: (name, route), .. } => {
                unsettled.extend(after.set_route(name, route, &was));
            }
            DiffItem::Remove(name, _) => unsettled.extend(after.forget_route(name, &was)),
        }
    }
    // Now that all of them are as they will be.
    for name in unsettled {
        after.point_route(&name);
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
        let before = self.targets.insert(Arc::new(target));
        self.lanes -= before.map_or(0, |before| usize::from(before.knows_lanes()));
    }

    /// Names the routes to a function that is not there, and no others.
    fn look_at_routes_of(&mut self, function: &FunctionName, was_there: bool) {
        if was_there != self.targets.get(function).is_some() {
            let names: Vec<_> = self.leading.names(function).cloned().collect();
            for name in names {
                self.say_whether_dangling(&name, function);
            }
        }
    }

    /// The function that a route to it has at hand.
    fn at_hand(&self, function: &FunctionName) -> Option<Arc<Target>> {
        self.leading.few(function).and_then(|_| self.targets.get(function)).cloned()
    }

    /// Gives a route its function as it is now.
    fn point_route(&mut self, name: &str) {
        let Some(route) = self.route(name).cloned() else { return };
        let target = self.at_hand(&route.function);
        self.table.point(name, &route, target);
    }

    fn say_whether_dangling(&mut self, route: &str, function: &FunctionName) {
        if self.targets.get(function).is_some() {
            self.is_well("route", route);
        } else {
            let why = format!("there is no function {function}");
            self.problems.insert(format!("route {route}"), why);
        }
    }

    /// Gives back the routes that do not have the right function at hand any more.
    fn set_route(&mut self, name: &Arc<str>, route: &Arc<Route>, was: &Objects) -> Vec<Arc<str>> {
        let before = served(&self.kept, was, name).cloned();
        let target = self.at_hand(&route.function);
        let added = match route.mistakes().first() {
            Some(mistake) => Err(mistake.to_string()),
            None => self.table.insert(name, route, target),
        };
        if let Err(why) = added {
            self.kept.insert(Arc::clone(name), before);
            self.problems.insert(format!("route {name}"), why);
            return Vec::new();
        }
        self.kept.remove(name);
        let mut unsettled = Vec::new();
        if let Some(before) = before {
            if !table::is_same_place(&before, route) {
                self.table.remove(name, &before);
            }
            if before.function != route.function {
                unsettled = self.leading.remove(&before.function, name);
            }
            self.lanes -= usize::from(knows_lanes(&before));
        }
        self.lanes += usize::from(knows_lanes(route));
        let crossed = self.leading.insert(&route.function, name);
        if !crossed.is_empty() {
            unsettled.push(Arc::clone(name));
            unsettled.extend(crossed);
        }
        self.say_whether_dangling(name, &route.function);
        unsettled
    }

    /// The same.
    fn forget_route(&mut self, name: &Arc<str>, was: &Objects) -> Vec<Arc<str>> {
        let mut unsettled = Vec::new();
        if let Some(before) = served(&self.kept, was, name).cloned() {
            self.table.remove(name, &before);
            self.lanes -= usize::from(knows_lanes(&before));
            unsettled = self.leading.remove(&before.function, name);
        }
        self.kept.remove(name);
        self.is_well("route", name);
        unsettled
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
