//! How many calls may be offered to a second node.

/// A fifth of all, so that a fleet which refuses everything is not asked three times as much, and a burst after a quiet time.
#[derive(Clone, Copy, Debug)]
pub struct RetryBudget(u32);

impl RetryBudget {
    const PER_RETRY: u32 = 5;
    const MOST: u32 = 100 * Self::PER_RETRY;

    /// A call was offered.
    #[must_use]
    pub fn offered(self) -> Self {
        Self((self.0 + 1).min(Self::MOST))
    }

    /// The budget after another try; none when it is spent.
    pub fn again(self) -> Option<Self> {
        self.0.checked_sub(Self::PER_RETRY).map(Self)
    }

    /// Refusals may be asked for: there is enough left to offer those calls again that are on their way now.
    pub fn is_ample(self) -> bool {
        self.0 >= Self::MOST / 2
    }
}

impl Default for RetryBudget {
    /// A burst.
    fn default() -> Self {
        Self(Self::MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_all_calls_may_be_offered_again_after_a_burst_of_a_hundred() {
        let (mut budget, mut retries) = (RetryBudget::default(), 0);
        for _ in 0..1000 {
            budget = budget.offered();
            if let Some(left) = budget.again() {
                (budget, retries) = (left, retries + 1);
            }
        }
        assert!((290..=310).contains(&retries), "{retries}");
        assert!(!budget.is_ample());
        let spent = std::iter::successors(Some(budget), |budget| budget.again()).last();
        assert!(spent.is_some_and(|spent| spent.again().is_none()));
    }
}
