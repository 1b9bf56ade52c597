//! After 101: bytes both ways, opaque, until both sides have ended.

use std::future::poll_fn;
use std::task::Poll;

use tokio::time::Instant;

use crate::Stream;
use crate::http1::client::Client;
use crate::http1::copy::{Copy, Side};
use crate::http1::exchange::Cause;
use crate::http1::service::Clocks;

/// Carries a tunnel. A side that ends is passed on, the other may go on (half-close). Gives the bytes
/// moved up and down, and the clock that ran out or the side that broke.
pub(super) async fn carry(
    client: &mut Client<'_>,
    upstream: &mut Stream,
    clocks: Clocks,
) -> ([u64; 2], Result<(), Cause>) {
    let (mut up, mut down) = (Copy::new(client.ahead.take()), Copy::new(Vec::new()));
    let mut moved_at = Instant::now();
    let mut moved = 0;
    let result = poll_fn(|cx| {
        let up_polled = up.poll(&mut client.stream, upstream, cx).map_err(|side| match side {
            Side::From(_) => Cause::ClientGone,
            Side::To(error) => Cause::UpstreamIo(error),
        })?;
        let down_polled =
            down.poll(upstream, &mut client.stream, cx).map_err(|side| match side {
                Side::From(error) => Cause::UpstreamIo(error),
                Side::To(_) => Cause::ClientGone,
            })?;
        if up_polled.is_ready() && down_polled.is_ready() {
            return Poll::Ready(Ok(()));
        }
        if up.moved + down.moved != moved {
            moved = up.moved + down.moved;
            moved_at = Instant::now();
        }
        let until_idle = moved_at + clocks.idle;
        client.timer.set(until_idle.min(clocks.run));
        match client.timer.poll(cx) {
            Poll::Ready(()) if clocks.run <= until_idle => Poll::Ready(Err(Cause::RunClock)),
            Poll::Ready(()) => Poll::Ready(Err(Cause::IdleClock)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    ([up.moved, down.moved], result)
}
