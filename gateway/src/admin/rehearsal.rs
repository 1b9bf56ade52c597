//! What a change would do to the requests of now, before it is made.

use std::sync::Arc;
use std::time::Instant;

use hatchway_proto::api::Changes;
use hatchway_proto::catalog::check::Mistake;
use hatchway_wire::admin::{Reply, json};
use hatchway_wire::catalog::store::check;

use super::GatewayApi;
use super::ask::Ask;
use super::change::parsed;
use super::refusal::Refusal;
use crate::catalog::apply::apply;
use crate::rehearse::rehearse as decide_again;

/// Nothing is written: the rules that this gateway serves by are changed in a copy, by the same code.
pub(super) async fn rehearse(api: Arc<GatewayApi>, mut ask: Ask) -> Result<Reply, Refusal> {
    let Changes { changes, .. } = ask.json().await?;
    let changes = parsed(changes)?;
    let Some(heads) = &api.heads else {
        return Err(Refusal::conflict(
            "this gateway keeps no heads of requests: start it with --keep-heads",
        ));
    };
    let before = api.catalog.snapshot();
    let after = apply(&before, Arc::new(check::after(&before.objects, &changes)));
    let is_new = |(object, why): &(&String, &String)| before.problems.get(*object) != Some(*why);
    let refused = after.problems.iter().filter(is_new);
    let refused =
        refused.map(|(object, why)| Mistake { field: object.clone(), message: why.clone() });
    let refused = refused.collect();
    let mut told = decide_again(&before, &after, &heads.all(), Instant::now());
    told.refused = refused;
    Ok(json(&told))
}
