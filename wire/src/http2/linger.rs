//! What a client still sends when it has its answer.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use h2::RecvStream;

use crate::http1::Linger;
use crate::ticker::{self, Timer};

/// Reads on for a bounded while, and forgets what it reads. The stream of an answer that came early may be reset
/// (`NO_ERROR`, RFC 9113 section 8.1), and there are clients that then throw the answer away, curl 7.88 among them: whoever
/// was about to end is let end.
pub(super) async fn linger(body: &mut RecvStream, timer: &Timer, linger: Linger) {
    timer.set(ticker::recent() + linger.clock);
    let mut left = linger.bytes;
    poll_fn(|cx| match poll_forget(body, &mut left, cx) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => timer.poll(cx),
    })
    .await;
}

/// Ready at the end of the stream, or after more than is `left`.
fn poll_forget(body: &mut RecvStream, left: &mut usize, cx: &mut Context<'_>) -> Poll<()> {
    while *left > 0 {
        match ready!(body.poll_data(cx)) {
            Some(Ok(data)) => {
                *left = left.saturating_sub(data.len());
                let released = body.flow_control().release_capacity(data.len());
                debug_assert!(released.is_ok(), "no more is released than was received");
            }
            Some(Err(_)) => return Poll::Ready(()),
            None => return body.poll_trailers(cx).map(drop),
        }
    }
    Poll::Ready(())
}
