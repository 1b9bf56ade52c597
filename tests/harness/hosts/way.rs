//! What may befall packets on their way from one host to another.

use std::time::{Duration, Instant};

use crate::Draw;

/// How packets travel in one direction. By default all arrive, at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// Of a thousand packets so many are lost; of 1,000, all.
    pub lost_permille: u64,
    /// How long each travels.
    pub delay: Duration,
    /// No more than this a second: others stand in line, and are lost where that is too long.
    pub bytes_per_second: Option<u64>,
}

/// The longest line in front of a narrow way, as that of a common router.
const LINE: Duration = Duration::from_millis(200);

impl Way {
    /// Nothing arrives, and nobody is told.
    pub const CUT: Self =
        Self { lost_permille: 1000, delay: Duration::ZERO, bytes_per_second: None };

    /// When a packet of `bytes` that is sent `now` arrives; none when it is lost. `free_at` is when the way is free again.
    pub(super) fn arrival(
        &self,
        bytes: usize,
        now: Instant,
        free_at: &mut Instant,
        draw: &mut Draw,
    ) -> Option<Instant> {
        if self.lost_permille > 0 && draw.below(1000) < self.lost_permille {
            return None;
        }
        let Some(rate) = self.bytes_per_second else { return Some(now + self.delay) };
        let begins = now.max(*free_at);
        if begins > now + LINE {
            return None;
        }
        *free_at = begins + Duration::from_secs(1).mul_f64(bytes as f64 / rate as f64);
        Some(*free_at + self.delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When the packets arrive that are sent one after another at once, in milliseconds.
    fn arrivals(way: Way, packets: usize) -> Vec<Option<u128>> {
        let now = Instant::now();
        let (mut free_at, mut draw) = (now, Draw::new(1));
        let mut one = |_| {
            let at = way.arrival(1000, now, &mut free_at, &mut draw)?;
            Some((at - now).as_millis())
        };
        (0..packets).map(&mut one).collect()
    }

    #[test]
    fn packets_are_late_stand_in_line_or_are_lost() {
        assert_eq!(arrivals(Way::default(), 2), [Some(0); 2]);
        assert_eq!(arrivals(Way::CUT, 2), [None; 2]);
        let late = Way { delay: Duration::from_millis(30), ..Way::default() };
        assert_eq!(arrivals(late, 2), [Some(30); 2]);
        let narrow = Way { bytes_per_second: Some(10_000), ..Way::default() };
        let expected = [Some(100), Some(200), Some(300), None];
        assert_eq!(arrivals(narrow, 4), expected, "a line of more than 200 ms takes no more");
        let poor = arrivals(Way { lost_permille: 100, ..Way::default() }, 10_000);
        let lost = poor.iter().filter(|at| at.is_none()).count();
        assert!((900..1100).contains(&lost), "{lost}");
    }
}
