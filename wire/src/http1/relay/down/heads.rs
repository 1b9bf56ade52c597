//! The heads of an answer: interim ones, the final one, and one that a node has told of.

use std::task::Context;

use hatchway_proto::http1::{self, BodyDecoder, Framing, ResponseHead, Version};
use hatchway_proto::link::AnswerHead;

use super::{Asked, Down, Form, State};
use crate::Stream;
use crate::http1::exchange::Cause;
use crate::http1::service::Shape;
use crate::http1::upgrade;
use crate::ticker;

impl Down<'_> {
    /// Reads interim heads, then the final one and what came of its body.
    pub(super) fn read_heads(
        &mut self,
        mut bytes: &[u8],
        asked: Asked,
        client: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Result<(), Cause> {
        self.state = State::Head(Vec::new());
        while !bytes.is_empty() {
            let parsed = http1::parse_response(bytes, self.terms.is_head, &self.limits);
            let Some(head) = parsed.map_err(Cause::BadAnswer)? else {
                self.state = State::Head(bytes.to_vec());
                return Ok(());
            };
            let rest = &bytes[head.len..];
            match head.status {
                101 => return self.begin_tunnel(&head, rest, asked),
                100..=199 => self.pass_interim(&head),
                _ => return self.begin_body(&head, rest, asked, client, cx),
            }
            bytes = rest;
        }
        Ok(())
    }

    /// 100 is ours to give, and was given; others are for clients that know interim answers.
    fn pass_interim(&mut self, head: &ResponseHead<'_>) {
        if head.status != 100 && self.terms.version == Version::Http11 {
            (self.respond)(head, self.terms.interim(), self.out.buffer());
        }
    }

    /// Only what was asked for, and only when the request is over: the rest of its body would be taken for
    /// the first words of the new protocol (RFC 9110 section 7.8).
    fn begin_tunnel(
        &mut self,
        head: &ResponseHead<'_>,
        rest: &[u8],
        asked: Asked,
    ) -> Result<(), Cause> {
        if !self.terms.wants_upgrade || !asked.is_whole || upgrade::granted(head).is_none() {
            return Err(Cause::UnwantedUpgrade);
        }
        self.note_head(head.status);
        (self.respond)(head, Shape { upgrades: true, ..self.terms.interim() }, self.out.buffer());
        self.state = State::Tunnel(rest.to_vec());
        Ok(())
    }

    fn begin_body(
        &mut self,
        head: &ResponseHead<'_>,
        rest: &[u8],
        asked: Asked,
        client: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Result<(), Cause> {
        let terms = self.terms;
        let (framing, form) = match (head.framing, terms.version) {
            (Framing::UntilClose, Version::Http11) => (Framing::Chunked, Form::Chunk),
            (Framing::Chunked, Version::Http10) => (Framing::UntilClose, Form::Unchunk),
            (framing, _) => (framing, Form::AsIs),
        };
        let ends_by_close = framing == Framing::UntilClose;
        let keep_alive = self.keeps_client(asked) && !ends_by_close;
        self.note_head(head.status);
        self.answer.ends_by_close = ends_by_close;
        self.answer.keep_client = keep_alive;
        self.answer.keep_upstream = head.keep_alive && head.framing != Framing::UntilClose;
        let shape = Shape { version: terms.version, keep_alive, framing, upgrades: false };
        let is_first = self.out.is_empty();
        if !(self.respond)(head, shape, self.out.buffer()) {
            return Err(Cause::Declined);
        }
        if let Stream::Call(call) = client
            && terms.told.tells
            && is_first
            && keep_alive
        {
            let head_bytes = self.out.rest().len();
            call.tell(AnswerHead { status: head.status, framing, head_bytes });
        }
        self.pass_body(BodyDecoder::new(head.framing), form, (0, rest), client, cx)
    }

    /// The client may send another request behind this one, as far as is known before its answer.
    fn keeps_client(&self, asked: Asked) -> bool {
        // What follows a refused upgrade may be words of the protocol that was hoped for.
        let is_ambiguous = self.terms.wants_upgrade && asked.has_more;
        self.terms.keep_alive && !is_ambiguous && !self.ticker.is_draining()
    }

    /// True when a head that a node has told of is what this client is to read.
    pub(super) fn passes(&self, asked: Asked) -> bool {
        self.terms.told.passes
            && self.terms.version == Version::Http11
            && self.keeps_client(asked)
            && matches!(&self.state, State::Head(partial) if partial.is_empty())
    }

    /// Passes on a head as it is, and what came of its body.
    pub(super) fn pass_told(
        &mut self,
        told: AnswerHead,
        bytes: &[u8],
        client: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Result<(), Cause> {
        self.note_head(told.status);
        (self.answer.keep_client, self.answer.keep_upstream) = (true, true);
        let decoder = BodyDecoder::new(told.framing);
        self.pass_body(decoder, Form::AsIs, (told.head_bytes, bytes), client, cx)
    }

    fn note_head(&mut self, status: u16) {
        self.answer.status = status;
        self.answer.first_byte = Some(ticker::recent());
    }
}
