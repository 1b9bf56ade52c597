//! The first words on a connection from a load balancer: whom it is for.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hatchway_proto::proxy_protocol::{self, Header, Malformed, PREFIX_BYTES};
use tokio::time::Instant;

use crate::Stream;
use crate::ticker::Ticker;

/// Why nobody knows whom a connection is for. It is closed without a word.
#[derive(Debug, thiserror::Error)]
pub enum Unknown {
    /// It began otherwise.
    #[error("a connection does not begin as its balancer has to")]
    Malformed(#[from] Malformed),
    /// It ended, or broke.
    #[error("a connection ended before it said whom it is for")]
    Gone(#[from] io::Error),
    /// It took too long.
    #[error("a connection did not say in time whom it is for")]
    TooSlow,
}

/// Reads a header, and not a byte of what follows it.
///
/// # Errors
/// [`Unknown`].
pub async fn read(
    stream: &mut Stream,
    clock: Duration,
    ticker: &Ticker,
) -> Result<Header, Unknown> {
    let timer = ticker.timer();
    timer.set(Instant::now() + clock);
    let mut bytes = vec![0; PREFIX_BYTES];
    let mut have = 0;
    poll_fn(|cx| match poll_header(stream, &mut bytes, &mut have, cx) {
        Poll::Ready(result) => Poll::Ready(result),
        Poll::Pending => timer.poll(cx).map(|()| Err(Unknown::TooSlow)),
    })
    .await
}

fn poll_header(
    stream: &mut Stream,
    bytes: &mut Vec<u8>,
    have: &mut usize,
    cx: &mut Context<'_>,
) -> Poll<Result<Header, Unknown>> {
    loop {
        while *have < bytes.len() {
            let count = ready!(stream.poll_read(cx, &mut bytes[*have..]))?;
            if count == 0 {
                return Poll::Ready(Err(Unknown::Gone(io::ErrorKind::UnexpectedEof.into())));
            }
            *have += count;
        }
        let (prefix, rest) = bytes.split_first_chunk().expect("the prefix has come");
        let len = proxy_protocol::rest_len(prefix)?;
        if rest.len() == len {
            return Poll::Ready(Ok(proxy_protocol::parse(prefix, rest)?));
        }
        bytes.resize(PREFIX_BYTES + len, 0);
    }
}
