//! Answers of ours on a stream.

use std::fs::File;
use std::future::poll_fn;
use std::os::unix::fs::FileExt;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::http1::{Answer, Body, Cause};
use crate::http2::head;
use crate::http2::reply::Reply;
use crate::scratch;
use crate::ticker::Timer;

/// A part of a file that is read at once.
const PART_BYTES: usize = 64 * 1024;

/// Where an answer goes, and how long the client may take nothing of it.
pub(super) struct Sender<'a> {
    pub(super) reply: &'a mut Reply,
    pub(super) timer: &'a Timer,
    pub(super) write_clock: Duration,
}

impl Sender<'_> {
    /// Sends `answer` whole; gives the bytes of its body. `to_head`: without the body.
    ///
    /// # Errors
    /// The client has left or stalled, or a file became shorter than its head said.
    pub(super) async fn send(mut self, answer: Answer, to_head: bool) -> Result<u64, Cause> {
        let is_all = to_head || head::is_bodiless(answer.status) || answer.is_empty();
        let sent = self.reply.head(head::of_answer(&answer), is_all);
        sent.map_err(|_| Cause::ClientGone)?;
        if is_all {
            return Ok(0);
        }
        let len = answer.len();
        match answer.body {
            Body::Bytes(bytes) => self.part(Bytes::from(bytes), true).await?,
            Body::File { file, offset, len } => self.file(&file, offset, len).await?,
        }
        Ok(len)
    }

    async fn file(&mut self, file: &File, mut offset: u64, mut left: u64) -> Result<(), Cause> {
        while left > 0 {
            let part = scratch::with_scratch(|buffer| {
                let want = usize::try_from(left).unwrap_or(PART_BYTES).min(PART_BYTES);
                let count = file.read_at(&mut buffer[..want], offset)?;
                std::io::Result::Ok(Bytes::copy_from_slice(&buffer[..count]))
            })
            .map_err(Cause::UpstreamIo)?;
            if part.is_empty() {
                return Err(Cause::UpstreamClosed);
            }
            offset += part.len() as u64;
            left -= part.len() as u64;
            self.part(part, left == 0).await?;
        }
        Ok(())
    }

    async fn part(&mut self, mut part: Bytes, is_last: bool) -> Result<(), Cause> {
        let mut left = part.len();
        self.timer.set(Instant::now() + self.write_clock);
        poll_fn(|cx| {
            if let Poll::Ready(sent) = self.reply.poll_data(&mut part, is_last, cx) {
                return Poll::Ready(sent.map_err(|_| Cause::ClientGone));
            }
            if self.reply.poll_gone(cx).is_ready() {
                return Poll::Ready(Err(Cause::ClientGone));
            }
            if part.len() < left {
                left = part.len();
                self.timer.set(Instant::now() + self.write_clock);
            }
            self.timer.poll(cx).map(|()| Err(Cause::ClientStalled))
        })
        .await
    }
}
