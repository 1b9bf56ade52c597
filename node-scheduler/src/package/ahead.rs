//! Packages of what the rules name are fetched before a request needs them: a few at a time, while there is room.

use futures_util::{StreamExt, stream};
use tokio::time::{Instant, sleep_until};

use super::packages::Inner;

/// Fetched ahead at a time: a quarter of what may be under way, so that no request waits behind them.
const AHEAD: usize = 2;

impl Inner {
    /// Follows the rules, until it is dropped.
    pub(super) async fn ahead(&self) {
        if !self.is_ahead {
            return;
        }
        let mut named = self.named.subscribe();
        loop {
            named.mark_unchanged();
            let digests = self.table().named();
            let all = stream::iter(digests).for_each_concurrent(AHEAD, |digest| async move {
                if self.table().disk_bytes() < self.disk_budget {
                    // Who needs it is told why it is not here; it was logged as well.
                    let _ = self.wait(digest).await;
                }
            });
            tokio::select! {
                () = all => {}
                _ = named.changed() => continue,
            }
            let next = self.table().next_try();
            tokio::select! {
                _ = named.changed() => {}
                () = async { sleep_until(next.map_or_else(Instant::now, Instant::from)).await }, if next.is_some() => {}
            }
        }
    }
}
