//! Moves canaries forward, or back: every gateway says what it has counted, and one of them leads.
//!
//! While a rollout runs, each gateway keeps a seat in etcd (a lease) and reports with it what it has counted of
//! each [version](crate::metrics::version); the one that is
//! elected looks at all reports, asks the rollout for its next move ([`hatchway_proto::rollout`]), and writes that move
//! together with the release: [`lead`]. While none runs there is a watch on an empty folder, and nothing else.
//! [`session`] is a gateway's part in it.

mod lead;
mod session;

use std::future::Future;

use hatchway_wire::catalog::SourceArgs;
use hatchway_wire::catalog::etcd::{EtcdConfigError, attend};

use crate::catalog::Catalog;

/// Takes part in rollouts for as long as the result is polled, where the rules are in etcd. Those who follow a file have
/// nobody to agree with, and no rollouts.
///
/// # Errors
/// What is wrong with the settings of etcd.
pub fn follow(
    source: &SourceArgs,
    catalog: Catalog,
) -> Result<impl Future<Output = ()> + use<>, EtcdConfigError> {
    let config = if source.catalog.is_none() { Some(source.etcd.check()?) } else { None };
    Ok(async move {
        let Some(config) = config else { return };
        let session = async |endpoint: &str, heard: &mut bool| {
            session::session(&config, endpoint, &catalog, heard).await
        };
        attend(&config, "rollouts are not followed: they stay as they are", session).await;
    })
}
