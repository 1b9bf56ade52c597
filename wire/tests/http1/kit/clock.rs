//! Time that passes when a test says so.

use std::sync::mpsc;
use std::time::Duration;

/// A paused clock that does not run ahead either: the runtime moves a paused clock by itself when it has
/// nothing to do, bytes under way in the kernel or not, unless a blocking task is running.
pub(crate) struct Still {
    _stays: mpsc::Sender<()>,
}

impl Still {
    /// Stops the clock of this runtime.
    pub(crate) fn new() -> Self {
        tokio::time::pause();
        let (stays, is_gone) = mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || is_gone.recv());
        Self { _stays: stays }
    }

    /// Lets `time` pass at once.
    pub(crate) async fn pass(&self, time: Duration) {
        tokio::time::advance(time).await;
        // As every turn of a core does.
        hatchway_wire::ticker::now();
    }
}
