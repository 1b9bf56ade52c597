//! What only some requests need between their head and their end. All others carry an empty pointer.

use std::cell::Cell;

use hatchway_proto::failure::{FAILURE_FIELD, Told};
use hatchway_proto::http1::{ResponseEdit, ResponseHead, write_response};
use hatchway_wire::http1::Answer;

use crate::admit::Turn;
use crate::degrade::proxy_status;
use crate::mirror::Copy;
use crate::route::AnswerFilters;

/// What is to be remembered of one request.
#[derive(Debug, Default)]
pub(crate) struct Rare {
    /// What becomes of the head of its answer.
    pub(crate) filters: Option<AnswerFilters>,
    /// The failure in whose place another function answers.
    pub(crate) degraded: Option<&'static str>,
    /// The failure that a node has told, when the client is to get something else.
    pub(crate) declined: Cell<Option<Told>>,
    /// The head once more, for another function.
    pub(crate) head: Vec<u8>,
    /// Its place among the calls of its function, where there are only so many.
    pub(crate) turn: Option<Turn>,
    /// For a mirror.
    pub(crate) copy: Option<Copy>,
}

impl Rare {
    /// Writes the head of an answer. What a node says of its own failures is not the function's.
    pub(crate) fn respond(
        &self,
        out: &mut Vec<u8>,
        head: &ResponseHead<'_>,
        edit: &ResponseEdit<'_>,
    ) {
        let mut extra = edit.extra.to_vec();
        let status = self.degraded.map(proxy_status);
        extra.extend(status.as_deref().map(|status| ("proxy-status", status)));
        let edit = ResponseEdit { extra: &extra, ..*edit };
        match &self.filters {
            Some(filters) if head.field(FAILURE_FIELD).is_none() => {
                filters.respond(out, head, &edit)
            }
            Some(_) | None => write_response(out, head, &edit),
        }
    }

    /// The same for an answer from a file of the function.
    pub(crate) fn change(&self, answer: &mut Answer) {
        if let Some(filters) = &self.filters {
            filters.change(answer);
        }
        if let Some(reason) = self.degraded {
            answer.fields.push(("proxy-status".into(), proxy_status(reason).into()));
        }
    }
}
