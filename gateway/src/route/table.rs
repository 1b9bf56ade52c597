//! Which function a request leads to: the host first, then the path, then the conditions.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hatchway_proto::catalog::{PathMatch, Route, check};
use regex::RegexSet;

use super::Filters;
use super::condition::{Asked, Matcher, Rank};

#[cfg(test)]
mod tests;

/// A map that shares what is the same with the one it was made from. Its keys come from operators.
type Map<K, V> = imbl::GenericHashMap<K, V, FixedState, imbl::shared_ptr::DefaultSharedPtr>;

/// All routes. A clone shares everything; a change costs as much as the routes that share its host and path.
#[derive(Clone, Debug)]
pub struct Table<T> {
    hosts: Map<Box<str>, Paths<T>>,
    /// By the domain behind `*.`.
    below: Map<Box<str>, Paths<T>>,
    any_host: Paths<T>,
}

/// Routes of one host.
#[derive(Clone, Debug)]
struct Paths<T> {
    exact: Map<Box<str>, Candidates<T>>,
    /// Whole segments, from `/` on, without a slash at the end.
    prefixes: Map<Box<str>, Candidates<T>>,
    regexes: Arc<Regexes<T>>,
}

/// Routes with the same host and path, the most particular first.
type Candidates<T> = Arc<[Candidate<T>]>;

#[derive(Clone, Debug)]
struct Candidate<T> {
    name: Box<str>,
    when: Option<Box<Matcher>>,
    filters: Option<Arc<Filters>>,
    lane: Option<Box<str>>,
    accepts_lane: bool,
    target: T,
}

/// Paths that are regular expressions, looked at all at once.
#[derive(Clone, Debug)]
struct Regexes<T> {
    set: RegexSet,
    routes: Vec<(Box<str>, Candidate<T>)>,
}

/// Where a request leads.
#[derive(Debug)]
pub struct Found<'t, 'p, T> {
    /// What the route leads to.
    pub target: &'t T,
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

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { hosts: Map::default(), below: Map::default(), any_host: Paths::default() }
    }
}

impl<T> Default for Paths<T> {
    fn default() -> Self {
        let regexes = Regexes { set: RegexSet::empty(), routes: Vec::new() };
        Self { exact: Map::default(), prefixes: Map::default(), regexes: Arc::new(regexes) }
    }
}

impl<T: Clone> Table<T> {
    /// Adds the route `name`, or puts it in the place of one with the same name, host and path.
    ///
    /// # Errors
    /// What is wrong with it; the table is as it was.
    pub fn insert(&mut self, name: &str, route: &Route, target: T) -> Result<(), String> {
        let when = match route.when.is_empty() {
            true => None,
            false => Some(Box::new(Matcher::new(&route.when)?)),
        };
        let filters = Filters::new(&route.filters);
        let lane = route.lane.as_deref().map(Into::into);
        let accepts_lane = route.accepts_lane;
        let candidate = Candidate { name: name.into(), when, filters, lane, accepts_lane, target };
        self.change(route, |paths| paths.insert(route, candidate))
    }

    /// Takes the route `name` out, as it was put in.
    pub fn remove(&mut self, name: &str, route: &Route) {
        let removed = self.change(route, |paths| paths.remove(name, route));
        debug_assert_eq!(removed, Ok(()), "what was compiled once can be compiled again");
    }

    fn change(
        &mut self,
        route: &Route,
        change: impl FnOnce(&mut Paths<T>) -> Result<(), String>,
    ) -> Result<(), String> {
        let (map, host) = match route.host.as_deref() {
            None => return change(&mut self.any_host),
            Some(host) => match host.strip_prefix("*.") {
                Some(domain) => (&mut self.below, domain),
                None => (&mut self.hosts, host),
            },
        };
        let host: Box<str> = host.to_ascii_lowercase().into();
        let mut paths = map.get(&*host).cloned().unwrap_or_default();
        change(&mut paths)?;
        if paths.is_empty() {
            map.remove(&*host);
        } else {
            map.insert(host, paths);
        }
        Ok(())
    }
}

impl<T> Table<T> {
    /// The most particular route that matches: the exact host, the host behind a tag, the longest wildcard, any host.
    pub fn resolve<'p>(&self, asked: Asked<'p>) -> Option<Found<'_, 'p, T>> {
        let (host, path) = (lower(without_port(asked.head.host)), asked.head.path);
        if let Some(found) = self.hosts.get(&*host).and_then(|paths| paths.resolve(path, asked)) {
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
                if let Some(found) = self.below.get(domain).and_then(|p| p.resolve(path, asked)) {
                    return Some(found);
                }
            }
        }
        self.any_host.resolve(path, asked)
    }
}

impl<T: Clone> Paths<T> {
    fn insert(&mut self, route: &Route, candidate: Candidate<T>) -> Result<(), String> {
        match route.path_match {
            PathMatch::Exact => put(&mut self.exact, &route.path, candidate),
            PathMatch::Prefix => put(&mut self.prefixes, without_slash(&route.path), candidate),
            PathMatch::Regex => {
                let name = candidate.name.clone();
                let mut routes = self.regexes.routes.clone();
                routes.retain(|(_, known)| known.name != name);
                routes.push((route.path.as_str().into(), candidate));
                self.regexes = Arc::new(Regexes::new(routes)?);
            }
        }
        Ok(())
    }

    fn remove(&mut self, name: &str, route: &Route) -> Result<(), String> {
        match route.path_match {
            PathMatch::Exact => take(&mut self.exact, &route.path, name),
            PathMatch::Prefix => take(&mut self.prefixes, without_slash(&route.path), name),
            PathMatch::Regex => {
                let mut routes = self.regexes.routes.clone();
                routes.retain(|(_, known)| *known.name != *name);
                self.regexes = Arc::new(Regexes::new(routes)?);
            }
        }
        Ok(())
    }
}

impl<T> Paths<T> {
    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.prefixes.is_empty() && self.regexes.routes.is_empty()
    }

    fn resolve<'p>(&self, path: &'p str, asked: Asked<'_>) -> Option<Found<'_, 'p, T>> {
        if let Some(found) = self.exact.get(path).and_then(|all| first(all, asked)) {
            return Some(found.at(path));
        }
        if let Some(found) = self.regexes.find(path, asked) {
            return Some(found.at(path));
        }
        let mut end = without_slash(path).len();
        loop {
            if let Some(found) = self.prefixes.get(&path[..end]).and_then(|all| first(all, asked)) {
                return Some(found.at(if end == path.len() { "/" } else { &path[end..] }));
            }
            end = path.as_bytes()[..end].iter().rposition(|byte| *byte == b'/')?;
        }
    }
}

impl<T> Regexes<T> {
    /// The longest expression first, then as in [`Candidates`].
    fn new(mut routes: Vec<(Box<str>, Candidate<T>)>) -> Result<Self, String> {
        routes.sort_by(|(a, one), (b, other)| {
            b.len().cmp(&a.len()).then(one.order().cmp(&other.order()))
        });
        let whole = routes
            .iter()
            .map(|(text, _)| check::whole(text).map(|regex| regex.as_str().to_owned()));
        let whole = whole.collect::<Result<Vec<_>, _>>()?;
        let set = RegexSet::new(whole).map_err(|error| error.to_string())?;
        Ok(Self { set, routes })
    }

    fn find(&self, path: &str, asked: Asked<'_>) -> Option<&Candidate<T>> {
        if self.routes.is_empty() {
            return None;
        }
        let matches = self.set.matches(path);
        matches.iter().map(|index| &self.routes[index].1).find(|candidate| candidate.holds(asked))
    }
}

impl<T> Candidate<T> {
    fn holds(&self, asked: Asked<'_>) -> bool {
        self.when.as_ref().is_none_or(|when| when.holds(asked))
    }

    /// Less is more particular.
    fn order(&self) -> (Reverse<Option<Rank>>, Box<str>) {
        (Reverse(self.when.as_ref().map(|when| when.rank())), self.name.clone())
    }

    fn at<'p>(&self, rest: &'p str) -> Found<'_, 'p, T> {
        let (target, route, filters) = (&self.target, &*self.name, self.filters.as_ref());
        let (lane, accepts_lane) = (self.lane.as_deref(), self.accepts_lane);
        Found { target, route, filters, lane, accepts_lane, rest, tag: None }
    }
}

fn first<'t, T>(all: &'t [Candidate<T>], asked: Asked<'_>) -> Option<&'t Candidate<T>> {
    all.iter().find(|candidate| candidate.holds(asked))
}

fn put<T: Clone>(map: &mut Map<Box<str>, Candidates<T>>, path: &str, candidate: Candidate<T>) {
    let known = map.get(path).map(|all| &all[..]).unwrap_or_default();
    let mut all: Vec<_> = known.iter().filter(|one| one.name != candidate.name).cloned().collect();
    all.push(candidate);
    all.sort_by_cached_key(|one| one.order());
    map.insert(path.into(), all.into());
}

fn take<T: Clone>(map: &mut Map<Box<str>, Candidates<T>>, path: &str, name: &str) {
    let known = map.get(path).map(|all| &all[..]).unwrap_or_default();
    let left: Vec<_> = known.iter().filter(|one| *one.name != *name).cloned().collect();
    if left.is_empty() {
        map.remove(path);
    } else {
        map.insert(path.into(), left.into());
    }
}

/// `TAG--HOST`. By bytes: to prepare a search for a text costs more than to look at every byte of a host.
fn behind_tag(host: &str) -> Option<(&str, &str)> {
    let at = host.as_bytes().windows(2).position(|two| two == b"--")?;
    Some((&host[..at], &host[at + 2..]))
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
