//! Where the fields of a head lie.
//!
//! A head is returned by value, so it cannot borrow an array of slices that lies beside it. Three ways were open: find
//! the lines again each time they are wanted, remember four places a field, or remember as little as makes finding
//! them free. Each field is looked at three times or more (look-ups for routing and tracing, then the rewriting), and
//! a head is moved a few times on its way out of the parser, so it is the third: lines follow each other without a gap,
//! and 4 bytes a field (length of line and name, and what the field is) give all places by addition. 24 fields are kept
//! inline, which covers browsers and proxies; the few heads with more cost an allocation.

use super::HeadError;
use super::chars::trim_ows;
use super::names::Kind;

/// A field of a checked head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'b> {
    /// A token, in the case it was sent in.
    pub name: &'b str,
    /// Without surrounding blanks; may hold bytes above 127.
    pub value: &'b [u8],
}

const INLINE: usize = 24;

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// With CRLF.
    line_len: u16,
    name_len: u8,
    kind: Kind,
}

const EMPTY: Slot = Slot { line_len: 0, name_len: 0, kind: Kind::Plain };

/// All fields of a head, in order.
#[derive(Clone, Debug)]
pub(super) struct FieldTable<'b> {
    /// The field lines and the empty line after them.
    section: &'b [u8],
    inline_len: usize,
    inline: [Slot; INLINE],
    spilled: Vec<Slot>,
}

/// One line of the section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'b> {
    /// With CRLF.
    pub(super) bytes: &'b [u8],
    name_len: usize,
    pub(super) kind: Kind,
}

impl<'b> FieldTable<'b> {
    pub(super) fn new() -> Self {
        Self { section: &[], inline_len: 0, inline: [EMPTY; INLINE], spilled: Vec::new() }
    }

    /// Names the field lines and the empty line after them, of which none is added yet.
    pub(super) fn start(&mut self, section: &'b [u8]) {
        self.section = section;
    }

    /// Adds the next line. Lines are added in order and without a gap.
    #[inline]
    pub(super) fn push(
        &mut self,
        line_len: usize,
        name_len: usize,
        kind: Kind,
    ) -> Result<(), HeadError> {
        let too_large = HeadError::HeadTooLarge { limit: usize::from(u16::MAX) };
        let slot = Slot {
            line_len: u16::try_from(line_len).map_err(|_| too_large)?,
            name_len: u8::try_from(name_len).map_err(|_| HeadError::FieldNameTooLong)?,
            kind,
        };
        if let Some(place) = self.inline.get_mut(self.inline_len) {
            *place = slot;
            self.inline_len += 1;
        } else {
            self.spilled.push(slot);
        }
        Ok(())
    }

    /// The field lines and the empty line after them: [`Line::bytes`] joined, and CRLF.
    pub(super) fn section(&self) -> &'b [u8] {
        self.section
    }

    #[inline]
    pub(super) fn lines(&self) -> impl Iterator<Item = Line<'b>> {
        let mut rest = self.section;
        self.inline[..self.inline_len]
            .iter()
            .chain(&self.spilled)
            .map(move |slot| slot.take(&mut rest))
    }

    /// Changes the kind of lines for which `kind` has another one.
    pub(super) fn reclassify(&mut self, kind: impl Fn(Line<'b>) -> Option<Kind>) {
        let mut rest = self.section;
        for slot in self.inline[..self.inline_len].iter_mut().chain(&mut self.spilled) {
            if let Some(kind) = kind(slot.take(&mut rest)) {
                slot.kind = kind;
            }
        }
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = Field<'b>> {
        self.lines().map(|line| Field {
            name: std::str::from_utf8(line.name())
                .expect("a field name is a token, which is ASCII"),
            value: line.value(),
        })
    }

    /// The first value of the field `lower_name`.
    pub(super) fn find(&self, lower_name: &str) -> Option<&'b [u8]> {
        let wanted = lower_name.as_bytes();
        self.lines()
            .find(|line| line.name_len == wanted.len() && line.name().eq_ignore_ascii_case(wanted))
            .map(|line| line.value())
    }
}

impl Slot {
    #[inline]
    fn take<'b>(self, rest: &mut &'b [u8]) -> Line<'b> {
        let (bytes, after) = rest.split_at(usize::from(self.line_len));
        *rest = after;
        Line { bytes, name_len: usize::from(self.name_len), kind: self.kind }
    }
}

impl<'b> Line<'b> {
    pub(super) fn name(&self) -> &'b [u8] {
        &self.bytes[..self.name_len]
    }

    pub(super) fn name_len(&self) -> usize {
        self.name_len
    }

    /// What stands between the colon and CRLF, blanks included.
    pub(super) fn raw_value(&self) -> &'b [u8] {
        &self.bytes[self.name_len + 1..self.bytes.len() - 2]
    }

    pub(super) fn value(&self) -> &'b [u8] {
        trim_ows(self.raw_value())
    }

    /// True when the line reads `Name: value` without further blanks, so that it can be copied as it is.
    #[inline]
    pub(super) fn is_canonical(&self) -> bool {
        match self.raw_value() {
            [b' ', first, .., last] => {
                !matches!(first, b' ' | b'\t') && !matches!(last, b' ' | b'\t')
            }
            [b' ', only] => !matches!(only, b' ' | b'\t'),
            _ => false,
        }
    }
}
