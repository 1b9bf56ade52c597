//! Random numbers that are the same in every run: a failure can be looked for again.

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub struct Draw(u64);

impl Draw {
    /// The same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to `end`, without it.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// From 0 to 1.
    pub fn share(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Zipf's law: the n-th most popular of all is asked for `1 / n` times as often as the first.
#[derive(Clone, Debug)]
pub struct Zipf {
    /// The share of the first, of the first two, and so on.
    sums: Vec<f64>,
}

impl Zipf {
    /// Of so many.
    pub fn new(count: usize) -> Self {
        let mut sum = 0.0;
        let sums = (1..=count).map(|n| {
            sum += 1.0 / n as f64;
            sum
        });
        let mut sums: Vec<f64> = sums.collect();
        sums.iter_mut().for_each(|share| *share /= sum);
        Self { sums }
    }

    /// One of them, by its place in the order.
    pub fn draw(&self, draw: &mut Draw) -> usize {
        let share = draw.share();
        self.sums.partition_point(|sum| *sum <= share).min(self.sums.len() - 1)
    }
}
