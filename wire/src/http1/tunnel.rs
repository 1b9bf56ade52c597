//! After 101: bytes both ways, opaque, until both sides have ended.

use std::future::poll_fn;
use std::task::Poll;

use tokio::time::Instant;

use crate::Stream;
use crate::http1::copy::Copy;
use crate::http1::exchange::Cause;
use crate::http1::service::Clocks;
use crate::ticker::Timer;

/// Carries a tunnel; `ahead` is what the client has sent already. A side that ends is passed on, the
/// other may go on (half-close). Gives the bytes moved.
///
/// # Errors
/// The clock that ran out, or the connection that broke.
pub(super) async fn carry(
    (client, upstream): (&mut Stream, &mut Stream),
    ahead: Vec<u8>,
    timer: &Timer,
    clocks: Clocks,
) -> Result<u64, Cause> {
    let (mut up, mut down) = (Copy::new(ahead), Copy::new(Vec::new()));
    let mut moved_at = Instant::now();
    let mut moved = 0;
    poll_fn(|cx| {
        let up_polled = up.poll(client, upstream, cx).map_err(Cause::UpstreamIo)?;
        let down_polled = down.poll(upstream, client, cx).map_err(Cause::UpstreamIo)?;
        if up_polled.is_ready() && down_polled.is_ready() {
            return Poll::Ready(Ok(up.moved + down.moved));
        }
        if up.moved + down.moved != moved {
            moved = up.moved + down.moved;
            moved_at = Instant::now();
        }
        let until_idle = moved_at + clocks.idle;
        timer.set(until_idle.min(clocks.run));
        match timer.poll(cx) {
            Poll::Ready(()) if clocks.run <= until_idle => Poll::Ready(Err(Cause::RunClock)),
            Poll::Ready(()) => Poll::Ready(Err(Cause::IdleClock)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
