//! How gateways that all serve a function divide its rate limit among themselves: each computes its own share, all from the
//! same table of what each is asked for, and the shares of all are the limit.
//!
//! Requests are treated alike wherever they come in: shares are as demand is. Only a gateway that is hardly asked for anything has
//! more, a floor: what it lets pass until the others have heard that its clients have woken up.

/// What all floors together take of the limit.
const FLOORS: f64 = 0.02;

/// The share of a gateway in `rate`. `own` is what it is asked for, in requests a second, and `others` what each of the others is,
/// those included that are asked for nothing.
///
/// All shares together are `rate`, if all look at the same table; each is at least its part of the floors.
pub fn share(rate: f64, own: f64, others: impl IntoIterator<Item = f64>) -> f64 {
    let (mut gateways, mut all) = (1.0, known(own));
    for other in others {
        gateways += 1.0;
        all += known(other);
    }
    let equal = rate / gateways;
    if all <= 0.0 {
        return equal;
    }
    equal * FLOORS + rate * (1.0 - FLOORS) * known(own) / all
}

/// Demand comes from other programs, by a table that anybody may have written.
fn known(demand: f64) -> f64 {
    if demand.is_finite() { demand.clamp(0.0, 1e12) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shares(rate: f64, demands: &[f64]) -> Vec<f64> {
        let others = |own: usize| {
            let others = demands.iter().enumerate().filter(move |(n, _)| *n != own);
            others.map(|(_, demand)| *demand)
        };
        (0..demands.len()).map(|own| share(rate, demands[own], others(own))).collect()
    }

    proptest! {
        #[test]
        fn all_shares_are_the_limit_and_nobody_is_shut_out(
            rate in 1.0..1e6_f64,
            demands in proptest::collection::vec(0.0..1e6_f64, 1..20),
        ) {
            let shares = shares(rate, &demands);
            let all: f64 = shares.iter().sum();
            prop_assert!((all / rate - 1.0).abs() < 1e-9, "{all} of {rate}");
            let floor = rate * FLOORS / demands.len() as f64;
            for (share, demand) in shares.iter().zip(&demands) {
                prop_assert!(*share >= floor * 0.999);
                // Nobody waits for what another one does not use, but for the floors.
                let is_enough = demands.iter().sum::<f64>() <= rate * (1.0 - FLOORS);
                prop_assert!(!is_enough || share >= demand);
            }
        }

        #[test]
        fn who_is_asked_for_more_gets_more(
            demands in proptest::collection::vec(0.0..1e6_f64, 2..20),
        ) {
            let shares = shares(100.0, &demands);
            for pair in 1..demands.len() {
                let (a, b) = (demands[pair - 1], demands[pair]);
                prop_assert_eq!(a < b, shares[pair - 1] < shares[pair]);
            }
        }

        #[test]
        fn nonsense_in_the_table_takes_nothing_away(bad in any::<f64>()) {
            let share = share(100.0, 50.0, [bad, f64::NAN, f64::INFINITY, -1.0]);
            prop_assert!(share > 0.0 && share <= 100.0, "{share}");
        }
    }

    #[test]
    fn without_any_demand_all_have_the_same() {
        assert_eq!(shares(90.0, &[0.0; 3]), [30.0; 3]);
        assert_eq!(share(90.0, 7.0, []), 90.0);
    }
}
