//! `--rehearse`: what a change would do to the requests of now, shown in place of making it.

use std::time::Duration;

use hatchway_proto::api::{Moved, Rehearsal};

use crate::failure::Outcome;
use crate::output;

/// Shows it.
pub(crate) fn show(told: &Rehearsal, is_json: bool) -> Outcome {
    if is_json {
        return output::json(told);
    }
    for refused in &told.refused {
        output::line(&format!("the gateway would refuse {refused}"))?;
    }
    if told.heads == 0 {
        return output::line(
            "nothing was written; the gateway has kept no request to rehearse with",
        );
    }
    let span = output::span(Duration::from_secs(told.seconds));
    output::line(&format!(
        "nothing was written; of {} requests in the last {span} ({} heads), {:.1} % would go elsewhere",
        told.requests, told.heads, told.percent
    ))?;
    if told.moves.is_empty() {
        return Ok(());
    }
    let mut table = output::table(&["SHARE", "ROUTE", "FROM", "TO", "FOR EXAMPLE"]);
    for moved in &told.moves {
        let share = format!("{:.1}%", moved.percent);
        table.add_row([
            share,
            route(moved),
            moved.before.clone(),
            moved.after.clone(),
            moved.example.clone(),
        ]);
    }
    output::show(&table)?;
    match told.more_moves {
        0 => Ok(()),
        more => output::line(&format!("and {more} smaller moves")),
    }
}

fn route(moved: &Moved) -> String {
    let name = |route: &Option<String>| output::or_dash(route.as_ref());
    let (before, after) = (name(&moved.route_before), name(&moved.route_after));
    if before == after { before } else { format!("{before} -> {after}") }
}
