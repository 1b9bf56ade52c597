//! Heads of recent requests, decided by two sets of rules: what differs is what a change would move.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

use hatchway_proto::api::{Moved, Rehearsal};
use hatchway_proto::http1::{Limits, parse_request};

use super::keep::Kept;
use crate::catalog::Snapshot;
use crate::route::filters::location;
use crate::route::{Applied, Asked};

/// Moves that are told one by one, the largest first.
const TOLD: usize = 50;

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// The route that it takes.
    route: Option<String>,
    /// What answers.
    to: To,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum To {
    Version { function: String, version: String },
    Redirect(String),
    Nobody(&'static str),
}

impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version { function, version } => write!(f, "{function} {version}"),
            Self::Redirect(location) => write!(f, "redirect to {location}"),
            Self::Nobody(why) => f.write_str(why),
        }
    }
}

/// What `heads` would do by `after` that they do otherwise by `before`.
pub fn rehearse(before: &Snapshot, after: &Snapshot, heads: &[Kept], now: Instant) -> Rehearsal {
    let mut moves: BTreeMap<(Place, Place), Moved> = BTreeMap::new();
    let (mut requests, mut moved) = (0, 0);
    for (index, kept) in heads.iter().enumerate() {
        let Ok(Some(head)) = parse_request(&kept.text, &Limits::default()) else { continue };
        requests += kept.weight;
        let asked = Asked { head: &head, client: kept.client };
        // One draw for both: a request that draws anew each time is not moved by that.
        let draw = (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let (was, is) = (place(before, asked, draw), place(after, asked, draw));
        if was == is {
            continue;
        }
        moved += kept.weight;
        let told = moves.entry((was, is)).or_insert_with(|| Moved {
            example: format!("{} {}{}", head.method, head.host, head.path),
            ..Moved::default()
        });
        told.requests += kept.weight;
    }
    let share = |part: u64| 100.0 * part as f64 / requests.max(1) as f64;
    let mut moves: Vec<Moved> = moves
        .into_iter()
        .map(|((was, is), told)| Moved {
            route_before: was.route,
            route_after: is.route,
            before: was.to.to_string(),
            after: is.to.to_string(),
            percent: share(told.requests),
            ..told
        })
        .collect();
    moves.sort_by_key(|told| std::cmp::Reverse(told.requests));
    let more_moves = moves.len().saturating_sub(TOLD);
    moves.truncate(TOLD);
    let oldest = heads.iter().map(|kept| kept.at).min().unwrap_or(now);
    let seconds = now.saturating_duration_since(oldest).as_secs();
    let percent = share(moved);
    Rehearsal {
        heads: heads.len(),
        requests,
        seconds,
        moved,
        percent,
        moves,
        more_moves,
        refused: Vec::new(),
    }
}

fn place(snapshot: &Snapshot, asked: Asked<'_>, draw: u64) -> Place {
    let Some(found) = snapshot.resolve(asked) else {
        return Place { route: None, to: To::Nobody("404 no-route") };
    };
    let redirected = |applied: Applied<'_>| {
        let redirect = applied.each().find_map(|filters| filters.redirect.as_ref())?;
        Some(To::Redirect(location(redirect, asked.head, found.rest, false)))
    };
    let to = || {
        if let Some(to) = redirected(Applied { route: found.filters, rule: None }) {
            return to;
        }
        let Some(releases) = &found.target.releases else { return To::Nobody("404 no-release") };
        let lane = snapshot.lane(asked, &found, || false).flatten();
        match releases.choose(asked, (found.tag, lane), || draw) {
            Err(_) => To::Nobody("404 no-tag"),
            Ok(chosen) => {
                let applied = Applied { route: None, rule: chosen.filters };
                redirected(applied).unwrap_or_else(|| To::Version {
                    function: found.target.name.to_string(),
                    version: chosen.target.version.to_string(),
                })
            }
        }
    };
    Place { route: Some(found.route.to_owned()), to: to() }
}
