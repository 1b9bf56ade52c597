//! The `Connection` field: how long the connection lives, and which fields end here (RFC 9110 7.6.1).

use super::HeadError;
use super::chars::{is_token, trim_ows};
use super::limits::NOMINATED;
use super::names::Kind;
use super::table::FieldTable;

/// What all `Connection` fields of a head say together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
    /// Options that are none of ours, so names of fields to drop.
    nominated: u8,
}

impl Options {
    /// Adds the options of one field.
    #[inline]
    pub(super) fn read(&mut self, value: &[u8]) -> Result<(), HeadError> {
        for option in options(value) {
            self.add(option)?;
        }
        Ok(())
    }

    fn add(&mut self, option: &[u8]) -> Result<(), HeadError> {
        let is = |known: &[u8]| option.eq_ignore_ascii_case(known);
        match option.len() {
            5 if is(b"close") => self.close = true,
            10 if is(b"keep-alive") => self.keep_alive = true,
            7 if is(b"upgrade") => self.upgrade = true,
            _ => self.nominate(option)?,
        }
        Ok(())
    }

    /// A field that is ours to write cannot be nominated away; one that carries framing or routing must not even be tried.
    fn nominate(&mut self, name: &[u8]) -> Result<(), HeadError> {
        if !is_token(name) {
            return Err(HeadError::BadConnection);
        }
        match Kind::of(name) {
            Kind::Host | Kind::ContentLength | Kind::TransferEncoding => {
                Err(HeadError::NominatedFraming)
            }
            Kind::Plain if self.nominated == NOMINATED => Err(HeadError::BadConnection),
            Kind::Plain => {
                self.nominated += 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Marks the nominated fields, so that rewriting leaves them out.
    #[inline]
    pub(super) fn mark(&self, table: &mut FieldTable<'_>) {
        if self.nominated > 0 {
            mark_nominated(table);
        }
    }

    /// RFC 9112 9.3: 1.1 stays open unless told otherwise, 1.0 closes unless told otherwise.
    pub(super) fn persists(&self, version: super::Version) -> bool {
        !self.close && (version == super::Version::Http11 || self.keep_alive)
    }
}

/// The members of a list. Empty ones are skipped, as RFC 9110 5.6.1.2 asks of a reader.
fn options(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(trim_ows).filter(|option| !option.is_empty())
}

/// The names are collected first, at most [`NOMINATED`] of them, so that a long list costs its length and not its length
/// for each field.
#[cold]
fn mark_nominated(table: &mut FieldTable<'_>) {
    let is_nomination =
        |option: &&[u8]| !option.eq_ignore_ascii_case(b"close") && Kind::of(option) == Kind::Plain;
    let lists = table.lines().filter(|line| line.kind == Kind::Connection);
    let names: Vec<&[u8]> =
        lists.flat_map(|line| options(line.value())).filter(is_nomination).collect();
    let is_nominated = |name: &[u8]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    table.reclassify(|line| {
        (line.kind == Kind::Plain && is_nominated(line.name())).then_some(Kind::Nominated)
    });
}
