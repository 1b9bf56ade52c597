//! Our half of a stream: interim heads, a head, data within what the client allows, trailers or a reset.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::{HeaderMap, Response};

/// The stream or its connection is over.
#[derive(Debug)]
pub(super) struct Gone;

/// What can still be said on a stream.
#[derive(Debug)]
pub(super) enum Reply {
    /// No head was sent.
    Waiting(SendResponse<Bytes>),
    /// The head was sent, and the end was not.
    Open(SendStream<Bytes>),
    /// Nothing.
    Ended,
}

impl Reply {
    /// Ready once the client has reset the stream, or its connection is over.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Waiting(stream) => stream.poll_reset(cx).map(|_| ()),
            Self::Open(stream) => stream.poll_reset(cx).map(|_| ()),
            Self::Ended => Poll::Pending,
        }
    }

    /// True once a head has been sent that cannot be taken back.
    pub(super) fn is_begun(&self) -> bool {
        !matches!(self, Self::Waiting(_))
    }

    /// True once all of the answer has been handed to the connection.
    pub(super) fn is_ended(&self) -> bool {
        matches!(self, Self::Ended)
    }

    /// Sends a head of class 1xx.
    pub(super) fn interim(&mut self, head: Response<()>) -> Result<(), Gone> {
        match self {
            Self::Waiting(stream) => stream.send_informational(head).map_err(|_| Gone),
            Self::Open(_) | Self::Ended => Ok(()),
        }
    }

    /// Sends the head; `is_all`: nothing follows.
    pub(super) fn head(&mut self, head: Response<()>, is_all: bool) -> Result<(), Gone> {
        if let Self::Waiting(stream) = self {
            let stream = stream.send_response(head, is_all).map_err(|_| Gone)?;
            *self = if is_all { Self::Ended } else { Self::Open(stream) };
        }
        Ok(())
    }

    /// Sends of `data` what the client allows; ready once that is all. `is_last`: the stream ends with it.
    ///
    /// Only what is there is asked for: capacity that a stream holds without use is taken from the other streams
    /// of its connection.
    pub(super) fn poll_data(
        &mut self,
        data: &mut Bytes,
        is_last: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Gone>> {
        let Self::Open(stream) = self else { return Poll::Ready(Err(Gone)) };
        while !data.is_empty() {
            stream.reserve_capacity(data.len());
            let room = stream.capacity().min(data.len());
            if room == 0 {
                match ready!(stream.poll_capacity(cx)) {
                    Some(Ok(_)) => continue,
                    Some(Err(_)) | None => return Poll::Ready(Err(Gone)),
                }
            }
            let part = data.split_to(room);
            let ends = is_last && data.is_empty();
            stream.send_data(part, ends).map_err(|_| Gone)?;
            if ends {
                *self = Self::Ended;
                break;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the stream, with trailers if there are any.
    pub(super) fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), Gone> {
        if let Self::Open(stream) = self {
            match trailers {
                Some(trailers) => stream.send_trailers(trailers),
                None => stream.send_data(Bytes::new(), true),
            }
            .map_err(|_| Gone)?;
            *self = Self::Ended;
        }
        Ok(())
    }

    /// Cuts the stream so that what was sent cannot be taken for all.
    pub(super) fn reset(&mut self, reason: Reason) {
        match self {
            Self::Waiting(stream) => stream.send_reset(reason),
            Self::Open(stream) => stream.send_reset(reason),
            Self::Ended => {}
        }
    }
}
