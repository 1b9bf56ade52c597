//! Small samples, described without pretending to more.

use serde::Serialize;

/// Of one quantity over the rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// `None` of nothing; what is not a number is nothing.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().filter(|value| !value.is_nan()).collect();
        sorted.sort_by(f64::total_cmp);
        let (first, last) = (*sorted.first()?, *sorted.last()?);
        Some(Self { min: first, median: percentile(&sorted, 50), max: last })
    }
}

/// The value below which `percent` of the sorted values lie, between two neighbours by proportion.
/// Not a number for no values.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let hundredths = sorted.len().saturating_sub(1) * percent.min(100);
    let at = |place: usize| sorted.get(place).copied();
    let Some(lower) = at(hundredths / 100) else { return f64::NAN };
    let upper = at(hundredths / 100 + 1).unwrap_or(lower);
    lower + (upper - lower) * (hundredths % 100) as f64 / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]);
        assert_eq!(spread, Some(Spread { min: 1.0, median: 2.5, max: 4.0 }));
    }

    #[test]
    fn nothing_has_no_spread() {
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([f64::NAN]), None);
    }

    #[test]
    fn percentiles_reach_both_ends() {
        let sorted = [1.0, 2.0, 3.0];
        assert_eq!([0, 100].map(|percent| percentile(&sorted, percent)), [1.0, 3.0]);
    }
}
