//! The answer's way: what the function says on a stream becomes bytes of HTTP/1.1.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use h2::RecvStream;
use h2::client::ResponseFuture;
use hatchway_proto::http1::{CHUNK_END, Framing, write_chunk_head, write_last_chunk};
use http::Response;

use super::request::Begun;
use super::{broken, head};

/// The answer under way.
#[derive(Debug, Default)]
pub(super) struct Answer {
    state: State,
    /// Heads, trailers and the framing of chunks, to be read before `data`; and how much of it was.
    text: Vec<u8>,
    given: usize,
    /// Data to be read behind `text`, then the end of its chunk.
    data: Bytes,
    owes_chunk_end: bool,
}

#[derive(Debug, Default)]
enum State {
    /// Nothing was asked; who waits for the answer already.
    #[default]
    Unasked,
    /// The same, and somebody reads.
    Awaited(Waker),
    Head {
        response: ResponseFuture,
        is_head: bool,
    },
    Data {
        body: RecvStream,
        is_chunked: bool,
    },
    Trailers {
        body: RecvStream,
    },
    Done,
}

impl Answer {
    /// The request's head was sent.
    pub(super) fn expect(&mut self, begun: Begun) {
        let state = State::Head { response: begun.response, is_head: begun.is_head };
        if let State::Awaited(waker) = std::mem::replace(&mut self.state, state) {
            waker.wake();
        }
    }

    /// Fills `buffer` with what is there; 0 behind the end.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut count = 0;
        loop {
            count += self.give(&mut buffer[count..]);
            if count == buffer.len() {
                return Poll::Ready(Ok(count));
            }
            match self.poll_more(cx) {
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false)) => return Poll::Ready(Ok(count)),
                // What came before an error, or before a pause, counts; either is found again.
                Poll::Ready(Err(_)) | Poll::Pending if count > 0 => return Poll::Ready(Ok(count)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Copies out what waits. The function gets room for the data that is taken here.
    fn give(&mut self, buffer: &mut [u8]) -> usize {
        let mut count = 0;
        loop {
            let text = &self.text[self.given..];
            let of_text = text.len().min(buffer.len() - count);
            buffer[count..count + of_text].copy_from_slice(&text[..of_text]);
            self.given += of_text;
            count += of_text;
            if self.given < self.text.len() {
                return count;
            }
            self.text.clear();
            self.given = 0;
            let of_data = self.data.len().min(buffer.len() - count);
            buffer[count..count + of_data].copy_from_slice(&self.data[..of_data]);
            self.data.advance(of_data);
            count += of_data;
            if of_data > 0
                && let State::Data { body, .. } = &mut self.state
            {
                let released = body.flow_control().release_capacity(of_data);
                debug_assert!(released.is_ok(), "no more is released than was received");
            }
            if !self.data.is_empty() || !std::mem::take(&mut self.owes_chunk_end) {
                return count;
            }
            self.text.extend_from_slice(CHUNK_END);
        }
    }

    /// Hears what the function says next, once all before it was given; false behind the end.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        match &mut self.state {
            State::Unasked | State::Awaited(_) => {
                self.state = State::Awaited(cx.waker().clone());
                Poll::Pending
            }
            State::Head { response, is_head } => {
                if let Poll::Ready(Some(interim)) = response.poll_informational(cx) {
                    head::write_response(&mut self.text, &interim.map_err(broken)?, false, true);
                    return Poll::Ready(Ok(true));
                }
                let is_head = *is_head;
                let response = ready!(Pin::new(response).poll(cx)).map_err(broken)?;
                self.begin(response, is_head);
                Poll::Ready(Ok(true))
            }
            State::Data { body, is_chunked } => {
                let is_chunked = *is_chunked;
                match ready!(body.poll_data(cx)) {
                    Some(data) => self.push(data.map_err(broken)?, is_chunked),
                    None if is_chunked => {
                        let State::Data { body, .. } = std::mem::take(&mut self.state) else {
                            unreachable!("it was data just now")
                        };
                        self.state = State::Trailers { body };
                    }
                    None => self.state = State::Done,
                }
                Poll::Ready(Ok(true))
            }
            State::Trailers { body } => {
                let trailers = ready!(body.poll_trailers(cx)).map_err(broken)?;
                let mut section = Vec::new();
                head::write_fields(&mut section, &trailers.unwrap_or_default());
                write_last_chunk(&mut self.text, &section);
                self.state = State::Done;
                Poll::Ready(Ok(true))
            }
            State::Done => Poll::Ready(Ok(false)),
        }
    }

    fn begin(&mut self, response: Response<RecvStream>, is_head: bool) {
        let is_all = response.body().is_end_stream();
        let framing = head::write_response(&mut self.text, &response, is_head, is_all);
        let body = response.into_body();
        self.state = match framing {
            Framing::Chunked if is_all => {
                write_last_chunk(&mut self.text, &[]);
                State::Done
            }
            Framing::Chunked => State::Data { body, is_chunked: true },
            Framing::Length(_) if !is_all => State::Data { body, is_chunked: false },
            Framing::Length(_) | Framing::None | Framing::UntilClose => State::Done,
        };
    }

    fn push(&mut self, data: Bytes, is_chunked: bool) {
        if is_chunked && !data.is_empty() {
            write_chunk_head(&mut self.text, data.len() as u64);
            self.owes_chunk_end = true;
        }
        self.data = data;
    }
}
