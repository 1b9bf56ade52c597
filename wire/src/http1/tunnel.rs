//! After 101: bytes both ways, opaque, until both sides have ended, or until this end goes away: its client is told so.

use std::future::poll_fn;
use std::task::Poll;

use tokio::time::Instant;

use crate::Stream;
use crate::http1::client::Client;
use crate::http1::copy::{Copy, Side};
use crate::http1::exchange::Cause;
use crate::http1::frames;
use crate::http1::service::Clocks;

/// Carries a tunnel; `first` is what came of the upstream already. A side that ends is passed on, the other may go on (half-close). Gives the bytes
/// moved up and down, and the clock that ran out or the side that broke.
pub(super) async fn carry(
    client: &mut Client<'_>,
    (upstream, first): (&mut Stream, Vec<u8>),
    clocks: Clocks,
) -> ([u64; 2], Result<(), Cause>) {
    let (mut up, mut down) = (Copy::new(client.ahead.take()), Copy::with_farewell(first));
    let mut moved_at = Instant::now();
    let mut moved = 0;
    let result = poll_fn(|cx| {
        let goodbye_at = frames::goodbye_at(client.ticker).filter(|_| !down.is_leaving());
        if goodbye_at.is_some_and(|at| at <= Instant::now()) {
            down.leave();
        }
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
        let wakes_at = until_idle.min(clocks.run);
        client.timer.set(goodbye_at.map_or(wakes_at, |at| at.min(wakes_at)));
        match client.timer.poll(cx) {
            // It rang for the goodbye.
            Poll::Ready(()) if Instant::now() < wakes_at => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(()) if clocks.run <= until_idle => Poll::Ready(Err(Cause::RunClock)),
            Poll::Ready(()) => Poll::Ready(Err(Cause::IdleClock)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    ([up.moved, down.moved], result)
}
