//! What a request may cost: one table per case, in a file that is committed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::Cost;
use crate::error::{BenchError, During as _, Result};

/// The file as it is read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Budget {
    cases: BTreeMap<String, Allowed>,
}

/// Of one case, a request.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Allowed {
    /// In user space.
    pub(crate) instructions: f64,
    pub(crate) system_calls: f64,
    /// Answered without a system call where there is a vDSO, and not for nothing either.
    pub(crate) clock_reads: f64,
}

const HEAD: &str = "\
# What a request may cost in user space, by case: see `make perf-budget`.
# Written by `make perf-budget ARGS=--accept`; 5 % more or less instructions fail, 15 % of the calls.
";

impl Budget {
    /// A file that is not there allows nothing yet.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text = match fs::read_to_string(file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            read => read.at("read", file)?,
        };
        toml::from_str(&text).map_err(|error| BenchError::Unexpected {
            what: "the budget",
            text: format!("{}: {error}", file.display()),
        })
    }

    pub(crate) fn of(&self, case: &str) -> Option<Allowed> {
        self.cases.get(case).copied()
    }

    /// What was counted becomes what is allowed.
    pub(crate) fn accept(&mut self, cost: &Cost) {
        let hundredths = |count: f64| (count * 100.0).round() / 100.0;
        let allowed = Allowed {
            instructions: cost.instructions.round(),
            system_calls: hundredths(cost.system_calls),
            clock_reads: hundredths(cost.clock_reads),
        };
        self.cases.insert(cost.case.name.to_owned(), allowed);
    }

    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        fs::write(file, self.text()).at("write", file)
    }

    fn text(&self) -> String {
        self.cases.iter().fold(HEAD.to_owned(), |mut text, (name, allowed)| {
            let Allowed { instructions, system_calls, clock_reads } = allowed;
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "\n[{name}]\ninstructions = {instructions:.0}\nsystem_calls = {system_calls:.2}\n\
                 clock_reads = {clock_reads:.2}\n"
            );
            text
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let allowed = Allowed { instructions: 6400.0, system_calls: 4.13, clock_reads: 3.0 };
        let budget = Budget { cases: BTreeMap::from([("get".to_owned(), allowed)]) };
        let read: Budget = toml::from_str(&budget.text()).unwrap();
        assert_eq!(read.of("get"), Some(allowed));
        assert_eq!(read.of("post"), None);
    }
}
