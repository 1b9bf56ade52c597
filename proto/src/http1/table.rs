//! Where the fields of a head lie.
//!
//! A head is returned by value, so it cannot borrow an array of slices that lies beside it. Two ways were open: keep
//! the bytes and look for the lines again each time, or remember the places. Each field is looked at three times or more
//! (look-ups for routing and tracing, then the rewriting), so the places are remembered: 8 bytes a field, 32
//! fields inline, which covers browsers and proxies, and a `Vec` for those few heads that have more.

use super::HeadError;
use super::names::Kind;

/// A field of a checked head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'b> {
    /// A token, in the case it was sent in.
    pub name: &'b str,
    /// Without surrounding blanks; may hold bytes above 127.
    pub value: &'b [u8],
}

const INLINE: usize = 32;

/// The place of one field, counted from the first byte of the head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    name_at: u16,
    value_at: u16,
    value_len: u16,
    name_len: u8,
    /// What rewriting does with it.
    pub(super) kind: Kind,
}

const EMPTY: Slot = Slot { name_at: 0, value_at: 0, value_len: 0, name_len: 0, kind: Kind::Plain };

impl Slot {
    /// Computes the place of a field from where `httparse` found it. Both slices lie in `head`.
    #[inline]
    pub(super) fn locate(
        head: &[u8],
        name: &[u8],
        value: &[u8],
        kind: Kind,
    ) -> Result<Self, HeadError> {
        let base = head.as_ptr().addr();
        let place = |at: usize| u16::try_from(at - base).ok();
        let too_large = HeadError::HeadTooLarge { limit: super::HEAD_BYTES_MAX };
        Ok(Self {
            name_at: place(name.as_ptr().addr()).ok_or(too_large)?,
            value_at: place(value.as_ptr().addr()).ok_or(too_large)?,
            value_len: u16::try_from(value.len()).map_err(|_| too_large)?,
            name_len: u8::try_from(name.len()).map_err(|_| HeadError::FieldNameTooLong)?,
            kind,
        })
    }

    pub(super) fn name_start(&self) -> usize {
        usize::from(self.name_at)
    }

    pub(super) fn name_end(&self) -> usize {
        usize::from(self.name_at) + usize::from(self.name_len)
    }

    pub(super) fn value_start(&self) -> usize {
        usize::from(self.value_at)
    }

    pub(super) fn value_end(&self) -> usize {
        usize::from(self.value_at) + usize::from(self.value_len)
    }

    pub(super) fn name_len(&self) -> usize {
        usize::from(self.name_len)
    }

    /// True when the line reads `Name: value` and CRLF, so that it can be copied as it is.
    pub(super) fn is_canonical(&self, head: &[u8]) -> bool {
        self.value_start() == self.name_end() + 2
            && head[self.name_end() + 1] == b' '
            && head[self.value_end()] == b'\r'
    }

    pub(super) fn name<'b>(&self, head: &'b [u8]) -> &'b [u8] {
        &head[self.name_start()..self.name_end()]
    }

    pub(super) fn value<'b>(&self, head: &'b [u8]) -> &'b [u8] {
        &head[self.value_start()..self.value_end()]
    }
}

/// All fields of a head, in order.
#[derive(Clone, Debug)]
pub(super) struct FieldTable<'b> {
    /// The head from its first line to its empty line.
    pub(super) head: &'b [u8],
    inline: [Slot; INLINE],
    inline_len: usize,
    spilled: Vec<Slot>,
}

impl<'b> FieldTable<'b> {
    pub(super) fn new(head: &'b [u8]) -> Self {
        Self { head, inline: [EMPTY; INLINE], inline_len: 0, spilled: Vec::new() }
    }

    #[inline]
    pub(super) fn push(&mut self, slot: Slot) {
        if let Some(place) = self.inline.get_mut(self.inline_len) {
            *place = slot;
            self.inline_len += 1;
        } else {
            self.spilled.push(slot);
        }
    }

    #[inline]
    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.inline[..self.inline_len].iter().chain(&self.spilled)
    }

    pub(super) fn slots_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.inline[..self.inline_len].iter_mut().chain(&mut self.spilled)
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = Field<'b>> {
        let head = self.head;
        self.slots().map(move |slot| Field {
            name: std::str::from_utf8(slot.name(head))
                .expect("a field name is a token, which is ASCII"),
            value: slot.value(head),
        })
    }

    /// The first value of the field `lower_name`.
    pub(super) fn find(&self, lower_name: &str) -> Option<&'b [u8]> {
        let wanted = lower_name.as_bytes();
        self.slots()
            .find(|slot| {
                slot.name_len() == wanted.len() && slot.name(self.head).eq_ignore_ascii_case(wanted)
            })
            .map(|slot| slot.value(self.head))
    }
}
