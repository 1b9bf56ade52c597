//! Functions that want the same: a name, or a route.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;

use super::diagnostic::Diagnostic;
use super::{Function, Manifest};
use crate::catalog::Route;

/// The clashes between functions of different manifests; those within one are [`super::parse`]'s to report.
pub fn clashes<'a>(manifests: impl IntoIterator<Item = &'a Manifest>) -> Vec<Diagnostic> {
    let manifests: Vec<&Manifest> = manifests.into_iter().collect();
    let mut found = between(&manifests, |one, other| !std::ptr::eq(one, other));
    found.extend(names(&manifests));
    found
}

/// The clashes within one manifest. Two tables of one name are a mistake of the syntax already.
pub(super) fn within(manifest: &Manifest) -> Vec<Diagnostic> {
    between(&[manifest], |one, other| std::ptr::eq(one, other))
}

/// A route and who has it.
struct Claim<'a> {
    manifest: &'a Manifest,
    function: &'a Function,
    span: &'a Range<usize>,
}

fn between(
    manifests: &[&Manifest],
    is_ours: impl Fn(&Manifest, &Manifest) -> bool,
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut claims: HashMap<(Option<&str>, &str), Claim<'_>> = HashMap::new();
    for manifest in manifests {
        for function in &manifest.functions {
            for (route, span) in function.routes.iter().zip(&function.places.routes) {
                match claims.entry((route.host.as_deref(), &route.path)) {
                    Entry::Vacant(free) => {
                        free.insert(Claim { manifest, function, span });
                    }
                    Entry::Occupied(taken) if is_ours(taken.get().manifest, manifest) => {
                        found.push(taken_route(manifest, span, route, taken.get()));
                    }
                    Entry::Occupied(_) => {}
                }
            }
        }
    }
    found
}

fn taken_route(
    manifest: &Manifest,
    span: &Range<usize>,
    route: &Route,
    first: &Claim<'_>,
) -> Diagnostic {
    let Claim { manifest: home, function, span: first_span } = first;
    let line = home.source.line_of(first_span.start);
    let url = format!("{}{}", route.host.as_deref().unwrap_or(""), route.path);
    let owner = function.name.name();
    let message = format!("`{url}` leads to `{owner}` already ({}:{line})", home.source.file());
    let help = format!("give this one another path or host, for example {:?}", free_path(route));
    manifest.source.at(span.clone(), message).with_help(help)
}

/// A path that the function's name makes likely to be free.
fn free_path(route: &Route) -> String {
    let below = route.path.trim_end_matches('/');
    format!("{below}/{}", route.function.name())
}

fn names(manifests: &[&Manifest]) -> Vec<Diagnostic> {
    let mut first: HashMap<&str, &Manifest> = HashMap::new();
    let mut found = Vec::new();
    for manifest in manifests {
        for function in &manifest.functions {
            match first.entry(function.name.as_str()) {
                Entry::Vacant(free) => {
                    free.insert(manifest);
                }
                Entry::Occupied(taken) => {
                    let message = format!(
                        "tenant `{}` has a function `{}` already ({})",
                        function.name.tenant(),
                        function.name.name(),
                        taken.get().source.file()
                    );
                    let diagnostic = manifest.source.at(function.places.name.clone(), message);
                    found.push(diagnostic.with_help("rename one of them"));
                }
            }
        }
    }
    found
}
