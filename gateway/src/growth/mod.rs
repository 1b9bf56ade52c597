//! How many sandboxes are kept ready on which node: every gateway says what it is asked for, and one of them plans for all.
//!
//! [`meter`] is what a gateway says, [`session`] its part at one member of etcd, [`lead`] what the elected one does once a second,
//! by [`plans`] (the arithmetic is in [`hatchway_proto::growth`]), and [`signals`] what monitoring sees of it. Without etcd nobody plans: nodes go on by what
//! they have heard last, and start for requests that wait as they always do.

mod lead;
mod meter;
mod plans;
mod session;
mod signals;

use hatchway_wire::catalog::SourceArgs;
use hatchway_wire::catalog::etcd::{EtcdConfigError, attend};

use crate::catalog::Catalog;

use meter::Meter;
pub use signals::Signals;

/// Takes part for as long as the result is polled, where the rules are in etcd.
///
/// # Errors
/// What is wrong with the settings of etcd.
pub fn follow(
    source: &SourceArgs,
    catalog: Catalog,
    signals: Signals,
) -> Result<impl Future<Output = ()> + use<>, EtcdConfigError> {
    let config = if source.catalog.is_none() { Some(source.etcd.check()?) } else { None };
    Ok(async move {
        let Some(config) = config else { return };
        let mut meter = Meter::new(catalog.clone());
        let session = async |endpoint: &str, heard: &mut bool| {
            let part = (&catalog, &signals);
            let over = session::session((&config, endpoint), part, &mut meter, heard).await;
            signals.resign();
            over
        };
        attend(
            &config,
            "nobody hears what this gateway is asked for: plans stay as they are",
            session,
        )
        .await;
    })
}
