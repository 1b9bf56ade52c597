//! Why a request goes where it goes: the decisions of a gateway in words, from the same snapshot and by the same code.

use std::sync::Arc;

mod typed;

use hatchway_proto::catalog::{Conditions, Degrade, Route};
use hatchway_proto::name::{FunctionName, VersionId};
use schemars::JsonSchema;
use serde::Serialize;

use crate::catalog::{Snapshot, Target};
use crate::mirror::{Mirror, MirrorTo};
use crate::route::Matcher;
use crate::route::filters::location;
use crate::route::release::Because;
use crate::route::{Applied, Asked, Chosen, FieldEdit, Found, Table};
use crate::trigger;

pub use typed::Typed;

/// Routes that lost, at most.
const OTHERS: usize = 20;

/// All decisions about one request.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Explanation {
    /// `function`, or what a client would be told: `redirect`, `no_route`, `no_release`, `no_tag`.
    pub outcome: &'static str,
    /// Where it leads.
    pub function: Option<FunctionName>,
    /// Which version answers.
    pub version: Option<VersionId>,
    /// The lane that the request is in: its nodes are asked first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// The stages in their order.
    pub steps: Vec<Step>,
    /// Routes and rules that could have been it.
    pub others: Vec<Other>,
}

/// One decision about a request.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Step {
    /// The stage, as its folder is named.
    pub stage: &'static str,
    /// What was decided.
    pub decision: String,
    /// Why.
    pub because: String,
}

/// What it was not.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Other {
    /// A route or a rule.
    pub what: String,
    /// What it lacks.
    pub why_not: String,
}

impl Explanation {
    fn step(
        &mut self,
        stage: &'static str,
        decision: impl Into<String>,
        because: impl Into<String>,
    ) {
        self.steps.push(Step { stage, decision: decision.into(), because: because.into() });
    }

    fn other(&mut self, what: impl Into<String>, why_not: impl Into<String>) {
        self.others.push(Other { what: what.into(), why_not: why_not.into() });
    }
}

/// Decides as a gateway would, without counting it.
pub fn explain(snapshot: &Snapshot, asked: Asked<'_>) -> Explanation {
    let (steps, others) = (Vec::new(), Vec::new());
    let mut told = Explanation {
        outcome: "no_route",
        function: None,
        version: None,
        lane: None,
        steps,
        others,
    };
    let found = snapshot.resolve(asked);
    other_routes(&mut told, snapshot, asked, found.as_ref().map(|found| found.route));
    let Some(found) = found else {
        let place = format!("{}{}", asked.head.host, asked.head.path);
        told.step("route", "404 no-route", format!("no route matches {place}"));
        return told;
    };
    route(&mut told, snapshot, &found);
    if redirect(&mut told, asked, Applied { route: found.filters, rule: None }, found.rest) {
        return told;
    }
    let target = found.target;
    let Some(releases) = &target.releases else {
        told.outcome = "no_release";
        told.step("release", "404 no-release", "no version is released");
        return told;
    };
    // Whoever asks for an explanation says what a trusted proxy would.
    let lane = snapshot.lane(asked, &found, || true).flatten();
    match releases.choose(asked, (found.tag, lane), trigger::draw) {
        Err(error) => {
            told.outcome = "no_tag";
            told.step("release", "404 no-tag", error.to_string());
        }
        Ok(chosen) => {
            release(&mut told, snapshot, (target, asked), chosen);
            in_lane(&mut told, snapshot, &found, chosen);
            if redirect(&mut told, asked, Applied { route: None, rule: chosen.filters }, found.rest)
            {
                return told;
            }
            told.outcome = "function";
            told.version = Some(chosen.target.version);
            told.lane = chosen.lane.map(str::to_owned);
            changes(
                &mut told,
                asked,
                Applied { route: found.filters, rule: chosen.filters },
                found.rest,
            );
            let limit = target.function.rate_per_second;
            let limit =
                limit.map_or("no rate limit".into(), |rate| format!("{rate} requests a second"));
            let line = target.line.as_ref().map(|line| line.most());
            let line = line.map_or(String::new(), |most| format!(", {most} in flight at a time"));
            told.step("admit", "passes", limit + &line);
            mirror(&mut told, chosen.mirror);
            degrades(&mut told, target);
        }
    }
    told
}

fn route(told: &mut Explanation, snapshot: &Snapshot, found: &Found<'_, '_, &Arc<Target>>) {
    let route = snapshot.route(found.route);
    let place = route.map(|route| place(route)).unwrap_or_default();
    let decision = format!("function {}", found.target.name);
    told.step("route", decision, format!("{} matches by {place}", found.route));
    told.function = Some(found.target.name.clone());
}

/// True when the request is sent elsewhere. That its client came without TLS is assumed.
fn redirect(told: &mut Explanation, asked: Asked<'_>, applied: Applied<'_>, rest: &str) -> bool {
    let Some(redirect) = applied.each().find_map(|filters| filters.redirect.as_ref()) else {
        return false;
    };
    told.outcome = "redirect";
    let to = location(redirect, asked.head, rest, false);
    let decision = format!("{} to {to}", redirect.status_code);
    told.step("trigger", decision, format!("{} redirects it", whose(applied)));
    true
}

/// What becomes of the head and of that of its answer.
fn changes(told: &mut Explanation, asked: Asked<'_>, applied: Applied<'_>, rest: &str) {
    let mut changes = Vec::new();
    if let Some(host) = applied.host() {
        changes.push(format!("the host becomes {host}"));
    }
    if let Some(path) = applied.path(asked.head, rest) {
        changes.push(format!("the path becomes {path}"));
    }
    for filters in applied.each() {
        describe(&mut changes, "the request", &filters.request);
        describe(&mut changes, "the answer", &filters.response);
    }
    if !changes.is_empty() {
        told.step("trigger", changes.join(", "), format!("{} changes it", whose(applied)));
    }
}

fn describe(changes: &mut Vec<String>, what: &str, edit: &FieldEdit) {
    let is_added = |name: &str| edit.add.iter().any(|(added, _)| **added == *name);
    for (name, value) in &edit.add {
        changes.push(format!("{what} has {name}: {value}"));
    }
    for name in edit.drop.iter().filter(|name| !is_added(name)) {
        changes.push(format!("{what} loses {name}"));
    }
}

/// The lane, where it is from, and the lanes that have lost.
fn in_lane<T>(
    told: &mut Explanation,
    snapshot: &Snapshot,
    found: &Found<'_, '_, T>,
    chosen: Chosen<'_>,
) {
    let object = told.function.as_ref().and_then(|name| snapshot.objects.releases.get(name));
    let known = object.map(|release| release.lanes.keys().cloned().collect()).unwrap_or_default();
    let known: Vec<String> = known;
    for other in known.iter().filter(|other| Some(other.as_str()) != chosen.lane) {
        told.other(format!("lane {other}"), "the request is not in it");
    }
    let Some(lane) = chosen.lane else { return };
    let from =
        if found.lane == Some(lane) { "of its route" } else { "of its baggage, or of a rule" };
    let has = match known.iter().any(|known| known == lane) {
        true => "the function has a version for it",
        false => "the function has no version for it and serves it as everybody",
    };
    told.step("lane", lane, format!("it is that {from}; {has}"));
}

fn mirror(told: &mut Explanation, mirror: Option<&Mirror>) {
    let Some(mirror) = mirror else { return };
    let to = match &mirror.to {
        MirrorTo::Version(to) => format!("version {}", to.version),
        MirrorTo::Function(function) => format!("function {function}"),
    };
    let share = format!("{}.{:02} %", mirror.basis_points / 100, mirror.basis_points % 100);
    let bound = mirror.max_body_bytes;
    let because = format!("of {share} of the requests, with bodies of up to {bound} bytes");
    told.step("mirror", format!("a copy goes to {to}"), because);
}

/// What would take the place of failures.
fn degrades(told: &mut Explanation, target: &Target) {
    for Degrade { on, function, answer } in target.degrade.each() {
        let function = function.as_ref().map(|function| format!("function {function}"));
        let answer = answer.as_ref().map(|answer| {
            format!("{} {} of {} bytes", answer.status, answer.content_type, answer.body.len())
        });
        let both: Vec<_> = function.into_iter().chain(answer).collect();
        told.step("answer", both.join(", else "), format!("if it fails by {}", on.join(", ")));
    }
}

fn whose(applied: Applied<'_>) -> &'static str {
    match (applied.route, applied.rule) {
        (Some(_), Some(_)) => "the route, then the rule of the release,",
        (None, Some(_)) => "the rule of the release",
        (_, None) => "the route",
    }
}

fn place(route: &Route) -> String {
    use hatchway_proto::catalog::PathMatch;
    let host = route.host.as_deref().unwrap_or("any host");
    let path = match route.path_match {
        PathMatch::Prefix => "the prefix",
        PathMatch::Exact => "the path",
        PathMatch::Regex => "the expression",
    };
    let when = if route.when.is_empty() { "" } else { ", with conditions" };
    format!("{host} and {path} {}{when}", route.path)
}

/// Routes that match in host and path, and are not it.
fn other_routes(
    told: &mut Explanation,
    snapshot: &Snapshot,
    asked: Asked<'_>,
    winner: Option<&str>,
) {
    for (name, route) in snapshot.routes().filter(|(name, _)| Some(&***name) != winner) {
        let with = |route: &Arc<Route>| {
            let mut alone = Table::default();
            alone.insert(name, route, None).is_ok() && alone.resolve(asked).is_some()
        };
        let bare = Arc::new(Route { when: Default::default(), ..(**route).clone() });
        if told.others.len() == OTHERS {
            return;
        }
        if with(route) {
            told.other(format!("route {name}"), format!("{} is less particular", place(route)));
        } else if with(&bare) {
            told.other(format!("route {name}"), unmet(&route.when, asked));
        }
    }
}

/// What of the conditions it is that does not hold.
fn unmet(when: &Conditions, asked: Asked<'_>) -> String {
    let without = Conditions { expression: None, ..when.clone() };
    match (&when.expression, Matcher::new(&without)) {
        (Some(expression), Ok(rest)) if rest.holds(asked) => {
            format!("its expression is not true: {expression}")
        }
        (Some(_) | None, _) => "its conditions do not hold".to_owned(),
    }
}

fn release(
    told: &mut Explanation,
    snapshot: &Snapshot,
    (target, asked): (&Target, Asked<'_>),
    chosen: Chosen<'_>,
) {
    let object = snapshot.objects.releases.get(&target.name);
    let because = match chosen.because {
        Because::Only => "it is the only version of the function that serves".to_owned(),
        Because::Tag(tag) => format!("the request asks for the tag {tag}"),
        Because::Lane(lane) => format!("it serves the lane {lane}"),
        Because::Bucket { rule, bucket, is_sticky } => {
            let tried = rule.or_else(|| object.map(|release| release.rules.len()));
            let rules = object.iter().flat_map(|release| release.rules.iter());
            for (index, rule) in rules.enumerate().take(tried.unwrap_or_default()) {
                told.other(format!("rule {index}"), unmet(&rule.when, asked));
            }
            let of = rule.map_or("the shares".to_owned(), |rule| format!("rule {rule}"));
            let how = if is_sticky { "the client's" } else { "drawn for this request" };
            format!("bucket {bucket} of {of} is its; the bucket is {how}")
        }
    };
    let is_stable = object.is_some_and(|release| release.stable == chosen.target.version);
    let kind = if is_stable { " (stable)" } else { "" };
    told.step("release", format!("version {}{kind}", chosen.target.version), because);
}
