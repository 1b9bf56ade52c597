//! The body of an answer, in the form that its client understands.

use std::task::Context;

use hatchway_proto::http1::{self, BodyDecoder, BodyError, Piece};

use super::{Down, Form, State};
use crate::Stream;
use crate::http1::exchange::Cause;

impl Down<'_> {
    /// Passes on what `bytes` hold of the body, behind what waits and with the `front` of them, which is a head as it is.
    pub(super) fn pass_body(
        &mut self,
        mut decoder: BodyDecoder,
        form: Form,
        (front, bytes): (usize, &[u8]),
        client: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Result<(), Cause> {
        // Whatever breaks from here on breaks an answer that has begun.
        self.state = State::Body(decoder, form);
        let used = match form {
            Form::AsIs => {
                let used = front + decoder.advance(&bytes[front..]).map_err(Cause::BadBody)?;
                let sent = self.out.send(&bytes[..used], client, cx);
                self.answer.bytes += sent.map_err(|_| Cause::ClientGone)? as u64;
                used
            }
            Form::Chunk | Form::Unchunk => {
                reframe(&mut decoder, form, bytes, self.out.buffer()).map_err(Cause::BadBody)?
            }
        };
        if decoder.is_done() {
            // Bytes behind the end were not asked for: whoever sends them is not trusted again.
            self.answer.keep_upstream &= used == bytes.len();
            self.state = State::Done;
        } else {
            self.state = State::Body(decoder, form);
        }
        Ok(())
    }

    pub(super) fn end_body(&mut self, mut decoder: BodyDecoder, form: Form) -> Result<(), Cause> {
        self.state = State::Body(decoder, form);
        decoder.end_of_input().map_err(Cause::BadBody)?;
        if form == Form::Chunk {
            http1::write_last_chunk(self.out.buffer(), &[]);
        }
        self.state = State::Done;
        Ok(())
    }
}

/// Writes the data of a body in another form; says how many bytes belong to it.
fn reframe(
    decoder: &mut BodyDecoder,
    form: Form,
    bytes: &[u8],
    out: &mut Vec<u8>,
) -> Result<usize, BodyError> {
    let mut used = 0;
    while !decoder.is_done() {
        match decoder.next(&bytes[used..])? {
            Piece::NeedMore | Piece::Done => break,
            Piece::Framing { len } | Piece::Trailers { len } => used += len,
            Piece::Data { start, len } => {
                let data = &bytes[used + start..used + start + len];
                if form == Form::Chunk {
                    http1::write_chunk_head(out, data.len() as u64);
                    out.extend_from_slice(data);
                    out.extend_from_slice(http1::CHUNK_END);
                } else {
                    out.extend_from_slice(data);
                }
                used += start + len;
            }
        }
    }
    Ok(used)
}
