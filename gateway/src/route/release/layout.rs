//! Claims about who gets which bucket, over all shares that there may be.

use hatchway_proto::catalog::{BASIS_POINTS, Share};
use hatchway_proto::name::VersionId;
use proptest::prelude::*;

use super::{Split, reduce};

/// A split in which version `n + 1` has the n-th share; 0 is stable.
fn split(shares: &[u16]) -> Split {
    let versions = (1..).map(|n| VersionId::parse(&format!("{n:016x}")).expect("16 digits"));
    let shares: Vec<Share> = versions
        .zip(shares)
        .map(|(version, basis_points)| Share { version, basis_points: *basis_points })
        .collect();
    let index = |id: VersionId| {
        let place = shares.iter().position(|share| share.version == id);
        Ok(place.expect("it is one of them") + 1)
    };
    Split::new(&shares, index).expect("every version is there")
}

fn owners(shares: &[u16]) -> Vec<usize> {
    let split = split(shares);
    (0..BASIS_POINTS).map(|bucket| split.target(bucket)).collect()
}

/// Up to `count` shares that are not more than everybody.
fn shares(count: usize) -> impl Strategy<Value = Vec<u16>> {
    let cuts = proptest::collection::vec(0..=BASIS_POINTS, 0..=count);
    cuts.prop_map(|mut cuts| {
        cuts.sort_unstable();
        let before = std::iter::once(0).chain(cuts.clone());
        cuts.iter().zip(before).map(|(cut, before)| cut - before).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_bucket_has_one_owner_and_every_share_its_number(shares in shares(6)) {
        let owners = owners(&shares);
        for (place, share) in shares.iter().enumerate() {
            let count = owners.iter().filter(|owner| **owner == place + 1).count();
            prop_assert_eq!(count, usize::from(*share), "share {}", place);
        }
        let given: u16 = shares.iter().sum();
        let left = owners.iter().filter(|owner| **owner == 0).count();
        prop_assert_eq!(left, usize::from(BASIS_POINTS - given));
    }

    #[test]
    fn while_two_shares_grow_they_take_from_stable_alone(
        first in 0..=BASIS_POINTS, second in 0..=BASIS_POINTS, more in 0..=BASIS_POINTS, part in 0.0_f64..=1.0,
    ) {
        let second = second.min(BASIS_POINTS - first);
        let more = more.min(BASIS_POINTS - first - second);
        // Rounding is no matter: what one does not get, the other does.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a u16")]
        let of_first = (f64::from(more) * part) as u16;
        let before = owners(&[first, second]);
        let after = owners(&[first + of_first, second + more - of_first]);
        for (bucket, (before, after)) in before.into_iter().zip(after).enumerate() {
            prop_assert!(before == 0 || before == after, "bucket {} went from {} to {}", bucket, before, after);
        }
    }

    #[test]
    fn a_share_that_ends_gives_back_to_stable_alone(first in 0..=BASIS_POINTS, second in 0..=BASIS_POINTS) {
        let second = second.min(BASIS_POINTS - first);
        for (before, after) in owners(&[first, second]).into_iter().zip(owners(&[0, second])) {
            prop_assert!(after == before || (before, after) == (1, 0));
        }
    }
}

/// Requests of clients that nobody knows, each drawn anew.
#[test]
fn of_100_000_requests_a_hundredth_is_drawn_for_the_canary() {
    let split = split(&[100]);
    // SplitMix64 (Steele, Lea and Flood 2014): as even as what draws in a gateway, and the same in every run.
    let mut state = 7_u64;
    let mut draw = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let canary = (0..100_000).filter(|_| split.target(reduce(draw())) == 1).count();
    // 1,000 expected; five standard deviations of a binomial are 157.
    assert!((843..=1157).contains(&canary), "{canary}");
}
