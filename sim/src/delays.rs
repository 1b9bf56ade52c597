//! How long requests waited before they ran: counted by size, for millions of them.

/// Counts of delays. An eighth is the largest error of a quantile.
#[derive(Clone, Debug)]
pub(crate) struct Delays {
    counts: Vec<u64>,
    total: u64,
    sum_us: u64,
}

/// Steps between a power of two and the next.
const STEPS: u64 = 8;

impl Default for Delays {
    fn default() -> Self {
        Self { counts: vec![0; 64 * 8], total: 0, sum_us: 0 }
    }
}

impl Delays {
    pub(crate) fn count(&mut self, us: u64) {
        self.counts[step(us)] += 1;
        self.total += 1;
        self.sum_us += us;
    }

    /// In milliseconds.
    #[expect(clippy::cast_precision_loss, reason = "counts of a simulation")]
    pub(crate) fn mean_ms(&self) -> f64 {
        self.sum_us as f64 / self.total.max(1) as f64 / 1e3
    }

    /// What so many of ten thousand waited at most, in milliseconds.
    #[expect(clippy::cast_precision_loss, reason = "delays of a simulation")]
    pub(crate) fn quantile_ms(&self, of_ten_thousand: u64) -> f64 {
        let rank = self.total * of_ten_thousand / 10_000;
        let mut seen = 0;
        let reaches = |count: &u64| {
            seen += count;
            seen >= rank
        };
        let at = self.counts.iter().position(reaches).unwrap_or_default();
        largest(at) as f64 / 1e3
    }
}

/// Which count is for `us`.
fn step(us: u64) -> usize {
    let power = u64::from(us.max(STEPS).ilog2()) - u64::from(STEPS.ilog2());
    let step = power * STEPS + (us >> power);
    usize::try_from(step).expect("it is small")
}

/// The largest number of a step.
fn largest(step: usize) -> u64 {
    let step = step as u64;
    let power = (step / STEPS).saturating_sub(1);
    ((step - power * STEPS + 1) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_in_its_step() {
        for us in (0..100).chain([1000, 12_345, 1 << 40]) {
            assert!(largest(step(us)) >= us && largest(step(us)) <= us + us / STEPS, "{us}");
            assert!(step(us) == 0 || largest(step(us) - 1) < us, "{us}");
        }
    }

    #[test]
    fn quantiles_are_of_what_was_counted() {
        let mut delays = Delays::default();
        (0..1000).for_each(|n| delays.count(if n < 990 { 0 } else { 80_000 }));
        assert_eq!(delays.quantile_ms(9900), 0.0);
        assert!((80.0..90.0).contains(&delays.quantile_ms(9990)));
        assert!((delays.mean_ms() - 0.8).abs() < 1e-9);
    }
}
