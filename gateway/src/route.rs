//! Stage 3: host and path lead to a function. The cost depends on the depth of the path, not on the
//! number of routes.

use std::borrow::Cow;
use std::collections::HashMap;

use foldhash::fast::RandomState;

/// Paths of one host: whole segments, from `/` on.
type Paths<T> = HashMap<Box<str>, T, RandomState>;

/// Which function a host and a path lead to.
#[derive(Clone, Debug)]
pub struct Table<T> {
    hosts: HashMap<Box<str>, Paths<T>, RandomState>,
    any_host: Paths<T>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { hosts: HashMap::default(), any_host: HashMap::default() }
    }
}

/// Where a request leads.
#[derive(Debug)]
pub struct Found<'t, 'p, T> {
    /// What the route leads to.
    pub target: &'t T,
    /// The path behind the route's prefix, with its slash.
    pub rest: &'p str,
}

impl<T> Table<T> {
    /// Adds a route; one with the same host and path is replaced. `path` is a prefix in whole segments.
    pub fn insert(&mut self, host: Option<&str>, path: &str, target: T) {
        let paths = match host {
            Some(host) => self.hosts.entry(host.to_ascii_lowercase().into()).or_default(),
            None => &mut self.any_host,
        };
        paths.insert(without_slash(path).into(), target);
    }

    /// The longest prefix of `path` under `host`, then under any host.
    pub fn resolve<'p>(&self, host: &str, path: &'p str) -> Option<Found<'_, 'p, T>> {
        let host = lower(without_port(host));
        let named = self.hosts.get(&*host).and_then(|paths| longest(paths, path));
        named.or_else(|| longest(&self.any_host, path))
    }
}

/// `/` is kept as the empty prefix, so that `/a` and `/` are found the same way.
fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

fn without_port(host: &str) -> &str {
    match host.rfind(':') {
        // The last colon of `[::1]` belongs to the address.
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        _ => host,
    }
}

fn lower(host: &str) -> Cow<'_, str> {
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

fn longest<'t, 'p, T>(paths: &'t Paths<T>, path: &'p str) -> Option<Found<'t, 'p, T>> {
    let mut end = without_slash(path).len();
    loop {
        if let Some(target) = paths.get(&path[..end]) {
            let rest = if end == path.len() { "/" } else { &path[end..] };
            return Some(Found { target, rest });
        }
        end = path[..end].rfind('/')?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table<&'static str> {
        let mut table = Table::default();
        table.insert(None, "/", "root");
        table.insert(None, "/a", "a");
        table.insert(None, "/a/b/", "ab");
        table.insert(Some("Shop.example"), "/", "shop");
        table.insert(Some("shop.example"), "/a", "shop-a");
        table.insert(Some("[::1]"), "/", "six");
        table
    }

    fn at(host: &str, path: &str) -> (&'static str, String) {
        let table = table();
        let found = table.resolve(host, path).unwrap();
        (*found.target, found.rest.to_owned())
    }

    #[test]
    fn the_longest_prefix_in_whole_segments_wins() {
        assert_eq!(at("x", "/a"), ("a", "/".to_owned()));
        assert_eq!(at("x", "/a/"), ("a", "/".to_owned()));
        assert_eq!(at("x", "/a/c"), ("a", "/c".to_owned()));
        assert_eq!(at("x", "/ab"), ("root", "/ab".to_owned()));
        assert_eq!(at("x", "/a/b"), ("ab", "/".to_owned()));
        assert_eq!(at("x", "/a/b/c/d"), ("ab", "/c/d".to_owned()));
        assert_eq!(at("x", "/a/bc"), ("a", "/bc".to_owned()));
        assert_eq!(at("x", "/"), ("root", "/".to_owned()));
        assert_eq!(at("x", "//"), ("root", "//".to_owned()));
    }

    #[test]
    fn a_named_host_wins_over_any_host_whatever_its_case_and_port() {
        assert_eq!(at("SHOP.example:8080", "/x").0, "shop");
        assert_eq!(at("shop.example", "/a/x").0, "shop-a");
        assert_eq!(at("[::1]:8080", "/").0, "six");
        assert_eq!(at("other", "/a").0, "a");
    }

    #[test]
    fn without_a_route_nothing_is_found() {
        let mut table = Table::default();
        table.insert(Some("one"), "/a", ());
        assert!(table.resolve("one", "/b").is_none());
        assert!(table.resolve("two", "/a").is_none());
        assert!(table.resolve("one", "*").is_none());
    }
}
