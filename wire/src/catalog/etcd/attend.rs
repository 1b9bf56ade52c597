//! Takes part in something that goes on in etcd, at one member after the other, whatever becomes of them.

use std::convert::Infallible;

use tokio::time::sleep;

use super::EtcdConfig;
use super::connection::EtcdError;
use crate::catalog::backoff::{Backoff, draw};

/// Begins `session` at one member after the other, with pauses that grow, for as long as it is polled. A session goes on until it is
/// lost; it sets its flag once etcd has been heard. Who reads the log hears of a loss what `meanwhile` it means, and of the same
/// one once.
pub async fn attend(
    config: &EtcdConfig,
    meanwhile: &'static str,
    mut session: impl AsyncFnMut(&str, &mut bool) -> Result<Infallible, EtcdError>,
) {
    let (mut backoff, mut told) = (Backoff::default(), String::new());
    for endpoint in config.endpoints.iter().cycle() {
        let mut heard = false;
        let Err(error) = session(endpoint, &mut heard).await;
        if heard {
            backoff.reset();
            told.clear();
        }
        let error = error.to_string();
        if told != error {
            tracing::warn!(endpoint, error, "{meanwhile}");
            told = error;
        }
        sleep(backoff.next(draw())).await;
    }
}
