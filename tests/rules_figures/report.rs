//! One table: what was measured, and what was to be reached.

/// The table.
#[derive(Debug)]
pub(crate) struct Report {
    what: String,
    rows: Vec<[String; 3]>,
}

impl Report {
    pub(crate) fn of(functions: usize) -> Self {
        let what =
            format!("with {functions} functions, each with a version, a route and a release");
        Self { what, rows: Vec::new() }
    }

    pub(crate) fn of_projects() -> Self {
        Self { what: "with one function that comes anew".to_owned(), rows: Vec::new() }
    }

    /// A line, also while it is still being measured.
    pub(crate) fn row(&mut self, what: &str, goal: &str, figure: String) {
        println!("{what}: {figure}");
        self.rows.push([what.to_owned(), goal.to_owned(), figure]);
    }

    pub(crate) fn print(&self) {
        println!("\n{}", self.what);
        println!("| | goal | figure |\n|---|---|---|");
        for [what, goal, figure] in &self.rows {
            println!("| {what} | {goal} | {figure} |");
        }
    }
}

/// The value below which so many hundredths are. Sorts.
pub(crate) fn percentile(values: &mut [f64], hundredths: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() * hundredths / 100).min(values.len() - 1)]
}
