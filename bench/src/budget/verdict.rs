//! What was counted beside what is allowed.

use comfy_table::{CellAlignment, Table, presets};

use super::Cost;
use super::file::{Allowed, Budget};

/// Either way: more is a loss, less is a budget that would hide the next one. Instructions are the same in every run; how
/// many calls a body takes depends on how much of it the kernel has at the time.
const TOLERANCES: [f64; 3] = [0.05, 0.15, 0.15];

/// Functions named for a case that is not within its budget.
const SHOWN: usize = 60;

/// One case, compared.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) cost: Cost,
    allowed: Option<Allowed>,
}

impl Verdict {
    pub(crate) fn of(cost: Cost, budget: &Budget) -> Self {
        let allowed = budget.of(cost.case.name);
        Self { cost, allowed }
    }

    /// Counted over allowed: instructions, system calls, looks at the clock.
    fn ratios(&self) -> Option<[f64; 3]> {
        let allowed = self.allowed?;
        Some([
            self.cost.instructions / allowed.instructions,
            self.cost.system_calls / allowed.system_calls,
            self.cost.clock_reads / allowed.clock_reads,
        ])
    }

    /// True when all figures are near what is allowed.
    pub(crate) fn is_kept(&self) -> bool {
        self.word() == "ok"
    }

    fn word(&self) -> &'static str {
        let Some(ratios) = self.ratios() else { return "no budget yet" };
        let is_any = |is_off: fn(f64, f64) -> bool| {
            ratios.iter().zip(TOLERANCES).any(|(ratio, tolerance)| is_off(*ratio, tolerance))
        };
        if is_any(|ratio, tolerance| ratio > 1.0 + tolerance) {
            "OVER"
        } else if is_any(|ratio, tolerance| ratio < 1.0 - tolerance) {
            "BETTER: lower the budget"
        } else {
            "ok"
        }
    }
}

/// A row per case.
pub(crate) fn table(verdicts: &[Verdict]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "case",
        "instructions",
        "budget",
        "ratio",
        "system calls",
        "budget",
        "clock reads",
        "budget",
        "",
        "",
    ]);
    for verdict in verdicts {
        let ratio = verdict.ratios().map(|[ratio, ..]| ratio);
        table.add_row([
            verdict.cost.case.name.to_owned(),
            number(Some(verdict.cost.instructions), 0),
            number(verdict.allowed.map(|allowed| allowed.instructions), 0),
            number(ratio, 3),
            number(Some(verdict.cost.system_calls), 2),
            number(verdict.allowed.map(|allowed| allowed.system_calls), 2),
            number(Some(verdict.cost.clock_reads), 2),
            number(verdict.allowed.map(|allowed| allowed.clock_reads), 2),
            verdict.word().to_owned(),
            verdict.cost.case.what.to_owned(),
        ]);
    }
    for column in table.column_iter_mut().skip(1).take(7) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

/// Where the instructions of a case go.
pub(crate) fn print_over(verdict: &Verdict) {
    println!(
        "{}: {}; instructions a request, by function:",
        verdict.cost.case.name,
        verdict.word()
    );
    for (name, each) in verdict.cost.functions.iter().take(SHOWN) {
        println!("  {each:8.1}  {name}");
    }
    println!();
}

#[cfg(test)]
mod tests {
    use super::super::cases::CASES;
    use super::*;

    fn verdict(instructions: f64, system_calls: f64) -> Verdict {
        let (case, functions, clock_reads) = (&CASES[0], Vec::new(), 3.0);
        let cost = Cost { case, instructions, system_calls, clock_reads, functions };
        let allowed = Allowed { instructions: 1000.0, system_calls: 4.0, clock_reads };
        Verdict { cost, allowed: Some(allowed) }
    }

    #[test]
    fn a_twentieth_more_or_less_is_kept_and_more_than_that_is_not() {
        assert!(verdict(1049.0, 3.9).is_kept() && verdict(951.0, 4.1).is_kept());
        assert_eq!(verdict(1051.0, 4.0).word(), "OVER");
        assert_eq!(verdict(949.0, 4.0).word(), "BETTER: lower the budget");
        assert_eq!(verdict(949.0, 5.0).word(), "OVER");
        assert!(verdict(1000.0, 4.5).is_kept() && verdict(1000.0, 3.5).is_kept());
        assert_eq!(verdict(1000.0, 3.3).word(), "BETTER: lower the budget");
    }

    #[test]
    fn a_case_without_a_budget_is_not_kept() {
        assert!(!Verdict { allowed: None, ..verdict(1.0, 1.0) }.is_kept());
    }
}
