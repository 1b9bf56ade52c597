//! Which function a request leads to: the host first, then the path, then the conditions.
//!
//! Of a hundred thousand routes, what a request looks at is in no cache, and each step that has to wait for the one before costs
//! more than all instructions. So there are few: to the place of the host in its [trie](hatchway_wire::trie), where the route
//! stands itself when it is the only one of its host; and from there to its host and path, which are to be compared, and to its
//! function, both at once.
//!
//! `make bench-rules` says what a step takes on a machine, beside what it takes to find a function of 100,000 over one of one: 0.17
//! to 0.22 us, for the address is in no TLB either, and 0.7 to 0.8 us. That is the last level of the trie, for
//! a third of all one more, and the lines of the route and of its function, which a core fetches side by side as far as it
//! sees ahead; the level before is among what its own cache keeps or does not.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::ops::Deref;
use std::sync::Arc;

use hatchway_proto::catalog::{PathMatch, Route, check};
use hatchway_proto::name::FunctionName;
use hatchway_wire::trie::{Keyed, Trie};
use regex::RegexSet;

use super::Filters;
use super::condition::{Asked, Matcher, Rank};
use crate::catalog::Target;

#[cfg(test)]
mod tests;

/// All routes. A clone shares everything; a change costs as much as the routes that share its host and path.
#[derive(Clone, Debug, Default)]
pub struct Table {
    hosts: Trie<Host>,
    /// By the domain behind `*.`.
    below: Trie<Host>,
    any_host: Paths,
}

/// The routes of one host. One that is alone, and no expression, is no pointer away.
#[derive(Clone, Debug)]
enum Host {
    One(Candidate),
    Many(Arc<Paths>),
}

/// Routes of one host, at least one of them; or of any host, and there may be none.
#[derive(Clone, Debug, Default)]
struct Paths {
    exact: Trie<Candidates>,
    /// Whole segments, from `/` on, without a slash at the end.
    prefixes: Trie<Candidates>,
    regexes: Option<Arc<Regexes>>,
}

/// Routes with the same host and path, the most particular first. Never none, and nearly always one: that is no pointer away.
#[derive(Clone, Debug)]
enum Candidates {
    One([Candidate; 1]),
    Many(Arc<[Candidate]>),
}

/// A route as requests look at it. What few have is behind a pointer: there is one of these for every route.
#[derive(Clone, Debug)]
struct Candidate {
    name: Arc<str>,
    route: Arc<Route>,
    compiled: Option<Arc<Compiled>>,
    /// The function that it leads to, where it is at hand; otherwise it is to be looked for by its name.
    target: Option<Arc<Target>>,
}

#[derive(Debug)]
struct Compiled {
    when: Option<Matcher>,
    filters: Option<Arc<Filters>>,
}

/// Paths that are regular expressions, looked at all at once.
#[derive(Clone, Debug)]
struct Regexes {
    set: RegexSet,
    routes: Box<[Candidate]>,
}

/// By the host of its routes, without `*.`.
impl Keyed for Host {
    type Key = str;

    fn key(&self) -> &str {
        let candidate = match self {
            Self::One(candidate) => Some(candidate),
            Self::Many(paths) => paths.any(),
        };
        let host = candidate.and_then(|candidate| candidate.route.host.as_deref());
        let host = host.expect("there are no entries of hosts without routes");
        host.strip_prefix("*.").unwrap_or(host)
    }
}

impl Keyed for Candidates {
    type Key = str;

    fn key(&self) -> &str {
        path_key(&self[0].route)
    }
}

/// Where a request leads.
#[derive(Debug)]
pub struct Found<'t, 'p, T> {
    /// What the route leads to.
    pub target: T,
    /// The name of the route.
    pub route: &'t str,
    /// What the route does with the request.
    pub filters: Option<&'t Arc<Filters>>,
    /// The lane of requests that are in none yet.
    pub lane: Option<&'t str>,
    /// Any client may say which lane it is in.
    pub accepts_lane: bool,
    /// The path behind the route's prefix, with its slash; all of it where the route has no prefix.
    pub rest: &'p str,
    /// The version that a host of the form `TAG--HOST` asks for.
    pub tag: Option<&'p str>,
}

/// To a function that is at hand, or is looked for by its name.
type Leads<'t, 'p> = Found<'t, 'p, (Option<&'t Arc<Target>>, &'t FunctionName)>;

impl Table {
    /// Adds the route `name`, or puts it in the place of one with the same name, host and path. `target` is the function that it
    /// leads to, to be at hand.
    ///
    /// # Errors
    /// What is wrong with it; the table is as it was.
    pub fn insert(
        &mut self,
        name: &Arc<str>,
        route: &Arc<Route>,
        target: Option<Arc<Target>>,
    ) -> Result<(), String> {
        let when = match route.when.is_empty() {
            true => None,
            false => Some(Matcher::new(&route.when)?),
        };
        let filters = Filters::new(&route.filters);
        let is_plain = when.is_none() && filters.is_none();
        let compiled = (!is_plain).then(|| Arc::new(Compiled { when, filters }));
        let (name, route) = (Arc::clone(name), Arc::clone(route));
        let candidate = Candidate { name, route: Arc::clone(&route), compiled, target };
        self.change(&route, |paths| paths.insert(candidate))
    }

    /// Takes the route `name` out, as it was put in.
    pub fn remove(&mut self, name: &str, route: &Route) {
        let removed = self.change(route, |paths| paths.remove(name, route));
        debug_assert_eq!(removed, Ok(()), "what was compiled once can be compiled again");
    }

    /// Puts another form of the function that the route `name` leads to at its hand, or none.
    pub fn point(&mut self, name: &str, route: &Route, target: Option<Arc<Target>>) {
        let candidate = match route.host.as_deref() {
            None => self.any_host.candidate_mut(name, route),
            Some(host) => {
                let host = match host.strip_prefix("*.") {
                    Some(domain) => self.below.get_mut(domain),
                    None => self.hosts.get_mut(host),
                };
                host.and_then(|host| host.candidate_mut(name, route))
            }
        };
        if let Some(candidate) = candidate {
            candidate.target = target;
        }
    }

    fn change(
        &mut self,
        route: &Route,
        change: impl FnOnce(&mut Paths) -> Result<(), String>,
    ) -> Result<(), String> {
        let (hosts, host) = match route.host.as_deref() {
            None => return change(&mut self.any_host),
            Some(host) => match host.strip_prefix("*.") {
                Some(domain) => (&mut self.below, domain),
                None => (&mut self.hosts, host),
            },
        };
        let mut paths = hosts.get(host).map(Host::paths).unwrap_or_default();
        change(&mut paths)?;
        if paths.is_empty() {
            hosts.remove(host);
        } else {
            hosts.insert(paths.into());
        }
        Ok(())
    }

    /// The most particular route that matches: the exact host, the host behind a tag, the longest wildcard, any host.
    pub fn resolve<'p>(&self, asked: Asked<'p>) -> Option<Leads<'_, 'p>> {
        let (host, path) = (lower(without_port(asked.head.host)), asked.head.path);
        if let Some(found) = self.hosts.get(&host).and_then(|paths| paths.resolve(path, asked)) {
            return Some(found);
        }
        if let Some((tag, rest)) = behind_tag(&host)
            && let Some(mut found) =
                self.hosts.get(rest).and_then(|paths| paths.resolve(path, asked))
        {
            found.tag = asked.head.host.get(..tag.len());
            return Some(found);
        }
        if !self.below.is_empty() {
            let mut domain = &*host;
            while let Some((_, rest)) = domain.split_once('.') {
                domain = rest;
                let paths = self.below.get(domain);
                if let Some(found) = paths.and_then(|paths| paths.resolve(path, asked)) {
                    return Some(found);
                }
            }
        }
        self.any_host.resolve(path, asked)
    }
}

impl Host {
    fn paths(&self) -> Paths {
        match self {
            Self::Many(paths) => Paths::clone(paths),
            Self::One(candidate) => {
                let mut paths = Paths::default();
                let all = match candidate.route.path_match {
                    PathMatch::Exact => &mut paths.exact,
                    PathMatch::Prefix | PathMatch::Regex => &mut paths.prefixes,
                };
                put(all, candidate.clone());
                paths
            }
        }
    }

    fn candidate_mut(&mut self, name: &str, route: &Route) -> Option<&mut Candidate> {
        match self {
            Self::One(candidate) => Some(candidate).filter(|candidate| *candidate.name == *name),
            Self::Many(paths) => Arc::make_mut(paths).candidate_mut(name, route),
        }
    }

    fn resolve<'p>(&self, path: &'p str, asked: Asked<'_>) -> Option<Leads<'_, 'p>> {
        match self {
            Self::One(candidate) => candidate.resolve(path, asked),
            Self::Many(paths) => paths.resolve(path, asked),
        }
    }
}

impl From<Paths> for Host {
    fn from(paths: Paths) -> Self {
        match paths.only() {
            Some(candidate) => Self::One(candidate.clone()),
            None => Self::Many(Arc::new(paths)),
        }
    }
}

impl Paths {
    fn insert(&mut self, candidate: Candidate) -> Result<(), String> {
        match candidate.route.path_match {
            PathMatch::Exact => put(&mut self.exact, candidate),
            PathMatch::Prefix => put(&mut self.prefixes, candidate),
            PathMatch::Regex => {
                let mut routes = self.regexes_but(&candidate.name);
                routes.push(candidate);
                self.regexes = Some(Arc::new(Regexes::new(routes)?));
            }
        }
        Ok(())
    }

    fn remove(&mut self, name: &str, route: &Route) -> Result<(), String> {
        match route.path_match {
            PathMatch::Exact => take(&mut self.exact, route, name),
            PathMatch::Prefix => take(&mut self.prefixes, route, name),
            PathMatch::Regex => {
                let routes = self.regexes_but(name);
                self.regexes = match routes.is_empty() {
                    true => None,
                    false => Some(Arc::new(Regexes::new(routes)?)),
                };
            }
        }
        Ok(())
    }

    fn regexes_but(&self, name: &str) -> Vec<Candidate> {
        let all = self.regexes.iter().flat_map(|regexes| regexes.routes.iter());
        all.filter(|known| *known.name != *name).cloned().collect()
    }

    /// The only route, where it is no expression.
    fn only(&self) -> Option<&Candidate> {
        let all = match (self.exact.is_empty(), self.prefixes.is_empty()) {
            (false, true) => self.exact.only(),
            (true, false) => self.prefixes.only(),
            (true, true) | (false, false) => None,
        };
        match all {
            Some(Candidates::One([candidate])) if self.regexes.is_none() => Some(candidate),
            Some(Candidates::One(_) | Candidates::Many(_)) | None => None,
        }
    }

    fn candidate_mut(&mut self, name: &str, route: &Route) -> Option<&mut Candidate> {
        let all = match route.path_match {
            PathMatch::Exact => self.exact.get_mut(path_key(route))?.make_mut(),
            PathMatch::Prefix => self.prefixes.get_mut(path_key(route))?.make_mut(),
            PathMatch::Regex => &mut Arc::make_mut(self.regexes.as_mut()?).routes,
        };
        all.iter_mut().find(|candidate| *candidate.name == *name)
    }

    fn any(&self) -> Option<&Candidate> {
        let paths = self.prefixes.first().or(self.exact.first());
        let regexes = self.regexes.iter().flat_map(|regexes| regexes.routes.iter());
        paths.map(|all| &all[0]).or(regexes.into_iter().next())
    }

    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.prefixes.is_empty() && self.regexes.is_none()
    }

    fn resolve<'p>(&self, path: &'p str, asked: Asked<'_>) -> Option<Leads<'_, 'p>> {
        if let Some(found) = self.exact.get(path).and_then(|all| all.first(asked)) {
            return Some(found.at(path));
        }
        if let Some(found) = self.regexes.as_ref().and_then(|regexes| regexes.find(path, asked)) {
            return Some(found.at(path));
        }
        if self.prefixes.is_empty() {
            return None;
        }
        let mut end = without_slash(path).len();
        loop {
            if let Some(found) = self.prefixes.get(&path[..end]).and_then(|all| all.first(asked)) {
                return Some(found.at(if end == path.len() { "/" } else { &path[end..] }));
            }
            end = path.as_bytes()[..end].iter().rposition(|byte| *byte == b'/')?;
        }
    }
}

impl Regexes {
    /// The longest expression first, then as in [`Candidates`].
    fn new(mut routes: Vec<Candidate>) -> Result<Self, String> {
        routes.sort_by(|one, other| {
            let longer = other.route.path.len().cmp(&one.route.path.len());
            longer.then_with(|| one.order().cmp(&other.order()))
        });
        let whole = routes.iter().map(|candidate| {
            check::whole(&candidate.route.path).map(|regex| regex.as_str().to_owned())
        });
        let whole = whole.collect::<Result<Vec<_>, _>>()?;
        let set = RegexSet::new(whole).map_err(|error| error.to_string())?;
        Ok(Self { set, routes: routes.into() })
    }

    fn find(&self, path: &str, asked: Asked<'_>) -> Option<&Candidate> {
        let matches = self.set.matches(path);
        matches.iter().map(|index| &self.routes[index]).find(|candidate| candidate.holds(asked))
    }
}

impl From<Vec<Candidate>> for Candidates {
    fn from(all: Vec<Candidate>) -> Self {
        <[Candidate; 1]>::try_from(all).map_or_else(|all| Self::Many(all.into()), Self::One)
    }
}

impl Deref for Candidates {
    type Target = [Candidate];

    fn deref(&self) -> &[Candidate] {
        match self {
            Self::One(one) => one,
            Self::Many(all) => all,
        }
    }
}

impl Candidates {
    fn make_mut(&mut self) -> &mut [Candidate] {
        match self {
            Self::One(one) => one,
            Self::Many(all) => Arc::make_mut(all),
        }
    }

    fn first(&self, asked: Asked<'_>) -> Option<&Candidate> {
        self.iter().find(|candidate| candidate.holds(asked))
    }
}

impl Candidate {
    fn when(&self) -> Option<&Matcher> {
        self.compiled.as_ref()?.when.as_ref()
    }

    fn holds(&self, asked: Asked<'_>) -> bool {
        self.when().is_none_or(|when| when.holds(asked))
    }

    /// Less is more particular.
    fn order(&self) -> (Reverse<Option<Rank>>, &str) {
        (Reverse(self.when().map(Matcher::rank)), &self.name)
    }

    /// The same as [`Paths::resolve`] for a path that is the only one.
    fn resolve<'p>(&self, path: &'p str, asked: Asked<'_>) -> Option<Leads<'_, 'p>> {
        let own = path_key(&self.route);
        let rest = match self.route.path_match {
            PathMatch::Exact => (path == own).then_some(path),
            PathMatch::Prefix | PathMatch::Regex => behind(path, own),
        };
        let rest = rest.filter(|_| self.holds(asked))?;
        Some(self.at(rest))
    }

    fn at<'p>(&self, rest: &'p str) -> Leads<'_, 'p> {
        let filters = self.compiled.as_ref().and_then(|compiled| compiled.filters.as_ref());
        let (lane, accepts_lane) = (self.route.lane.as_deref(), self.route.accepts_lane);
        let target = (self.target.as_ref(), &self.route.function);
        let route = &*self.name;
        Found { target, route, filters, lane, accepts_lane, rest, tag: None }
    }
}

fn put(all: &mut Trie<Candidates>, candidate: Candidate) {
    let known = all.get(path_key(&candidate.route)).map(|known| &**known).unwrap_or_default();
    let others = known.iter().filter(|one| one.name != candidate.name);
    let mut together: Vec<_> = others.cloned().collect();
    together.push(candidate);
    together.sort_by(|one, other| one.order().cmp(&other.order()));
    all.insert(together.into());
}

fn take(all: &mut Trie<Candidates>, route: &Route, name: &str) {
    let key = path_key(route);
    let known = all.get(key).map(|known| &**known).unwrap_or_default();
    let left: Vec<_> = known.iter().filter(|one| *one.name != *name).cloned().collect();
    if left.is_empty() {
        all.remove(key);
    } else {
        all.insert(left.into());
    }
}

/// True when one is put in the place of the other, if they have the same name.
pub(crate) fn is_same_place(one: &Route, other: &Route) -> bool {
    let is_same_path = one.path_match == PathMatch::Regex || path_key(one) == path_key(other);
    one.host == other.host && one.path_match == other.path_match && is_same_path
}

/// What a path is found by among those that are compared in the same way.
fn path_key(route: &Route) -> &str {
    match route.path_match {
        PathMatch::Prefix => without_slash(&route.path),
        PathMatch::Exact | PathMatch::Regex => &route.path,
    }
}

/// `TAG--HOST`. By bytes: to prepare a search for a text costs more than to look at every byte of a host.
fn behind_tag(host: &str) -> Option<(&str, &str)> {
    let at = host.as_bytes().windows(2).position(|two| two == b"--")?;
    Some((&host[..at], &host[at + 2..]))
}

/// What follows a prefix of whole segments, with its slash.
fn behind<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    let rest = without_slash(path).strip_prefix(prefix)?;
    let is_whole = rest.is_empty() || rest.starts_with('/');
    is_whole.then(|| if prefix.len() == path.len() { "/" } else { &path[prefix.len()..] })
}

/// `/` is kept as the empty prefix, so that `/a` and `/` are found the same way.
fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

fn without_port(host: &str) -> &str {
    // By bytes, from the end: a port is short, and the last colon of `[::1]` belongs to the address.
    match host.as_bytes().iter().rposition(|byte| !byte.is_ascii_digit()) {
        Some(colon) if host.as_bytes()[colon] == b':' => &host[..colon],
        Some(_) | None => host,
    }
}

fn lower(host: &str) -> Cow<'_, str> {
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}
