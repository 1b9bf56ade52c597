//! A load over the last seconds.

use std::collections::VecDeque;

/// One value a second, for as long as the longest mean that is asked for.
#[derive(Clone, Debug, Default)]
pub struct Window(VecDeque<(u64, f64)>);

impl Window {
    /// The value of a second; the later one where there are two. What is older than `long` seconds is forgotten.
    pub fn put(&mut self, second: u64, value: f64, long: u64) {
        while self.0.back().is_some_and(|(at, _)| *at >= second) {
            self.0.pop_back();
        }
        self.0.push_back((second, if value.is_finite() { value.max(0.0) } else { 0.0 }));
        while self.0.front().is_some_and(|(at, _)| at + long <= second) {
            self.0.pop_front();
        }
    }

    /// The mean of the values of the last `over` seconds, of those that are known; 0 where none is.
    pub fn mean(&self, second: u64, over: u64) -> f64 {
        let (mut sum, mut count) = (0.0, 0_u32);
        for (_, value) in self.0.iter().rev().take_while(|(at, _)| at + over > second) {
            sum += value;
            count += 1;
        }
        if count == 0 { 0.0 } else { sum / f64::from(count) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_of_the_seconds_that_are_known_and_no_older_ones() {
        let mut window = Window::default();
        assert_eq!(window.mean(9, 60), 0.0);
        for (second, value) in [(10, 8.0), (11, 4.0), (15, 6.0), (15, 2.0)] {
            window.put(second, value, 6);
        }
        assert_eq!(
            (window.mean(15, 1), window.mean(15, 6), window.mean(15, 5)),
            (2.0, 14.0 / 3.0, 3.0)
        );
        assert_eq!(window.mean(16, 6), 3.0, "the first is too old by now");
        window.put(17, f64::NAN, 6);
        assert_eq!((window.mean(17, 1), window.0.len()), (0.0, 2));
    }
}
