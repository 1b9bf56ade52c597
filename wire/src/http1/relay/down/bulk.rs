//! A long body that goes over a link around the memory of its programs.

use std::task::{Context, Poll};

use super::{Down, Form, State};
use crate::Stream;
use crate::http1::exchange::Cause;
use crate::link::Call;
use crate::pipe::{self, Pipe, is_plain};

/// What is done of a body here: nothing, so that it is copied, or as much as can be now.
type Moved = Result<Option<Poll<()>>, Cause>;

impl Down<'_> {
    /// True from the first moment on in which enough of the body is to come.
    fn begins_bulk(&mut self, can_be: impl FnOnce() -> bool) -> bool {
        let State::Body(decoder, Form::AsIs) = &self.state else { return false };
        let is_long = decoder.remaining().is_some_and(|left| left >= self.splice_from.max(1));
        self.is_bulk |= is_long && can_be();
        self.is_bulk
    }

    /// Node: from the function to the link.
    pub(super) fn poll_into_link(
        &mut self,
        call: &Call,
        upstream: &Stream,
        cx: &mut Context<'_>,
    ) -> Moved {
        self.is_stalled = false;
        if !self.begins_bulk(|| is_plain(upstream) && call.is_plain()) {
            return Ok(None);
        }
        while let State::Body(decoder, Form::AsIs) = &mut self.state {
            let room = match call.poll_room(cx) {
                Poll::Ready(room) => room.map_err(|_| Cause::ClientGone)?,
                Poll::Pending => {
                    self.is_stalled = true;
                    return Ok(Some(Poll::Pending));
                }
            };
            let most = decoder.data_ahead().min(room as u64);
            let Some(mut pipe) = (most > 0).then(Pipe::take).flatten() else { return Ok(None) };
            let count = match pipe.poll_fill(upstream, most, cx) {
                Poll::Ready(count) => count.map_err(Cause::UpstreamIo)?,
                Poll::Pending => return Ok(Some(Poll::Pending)),
            };
            if count == 0 {
                return decoder.end_of_input().map(|()| None).map_err(Cause::BadBody);
            }
            decoder.skip(count as u64);
            self.answer.bytes += count as u64;
            call.splice(pipe);
            if decoder.is_done() {
                self.state = State::Done;
                pipe::settle(upstream);
            }
        }
        Ok(Some(Poll::Ready(())))
    }

    /// Gateway: from the link to the client.
    pub(super) fn poll_out_of_link(
        &mut self,
        call: &Call,
        client: &Stream,
        cx: &mut Context<'_>,
    ) -> Moved {
        self.is_stalled = false;
        if !self.begins_bulk(|| is_plain(client) && call.is_plain()) {
            return Ok(None);
        }
        call.take_pipes(true);
        while call.is_piped() {
            let State::Body(decoder, Form::AsIs) = &mut self.state else { return Ok(None) };
            let count = match call.poll_drain(client, decoder.data_ahead(), cx) {
                Poll::Ready(count) => count.map_err(|_| Cause::ClientGone)?,
                Poll::Pending => {
                    self.is_stalled = true;
                    return Ok(Some(Poll::Pending));
                }
            };
            decoder.skip(count as u64);
            self.answer.bytes += count as u64;
            if decoder.is_done() {
                // More than was announced: the node is not to be believed.
                self.answer.keep_upstream &= !call.is_piped();
                self.state = State::Done;
                return Ok(Some(Poll::Ready(())));
            }
        }
        // What comes next may have come through memory, and the pipe is filled by who reads the link.
        Ok(None)
    }
}
