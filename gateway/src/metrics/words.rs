//! Counts by a word of ours: why something failed, how something ended.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// There are fewer reasons than this in the whole program; what comes after them is counted without its name.
const PLACES: usize = 64;

/// What words are called for which there is no place.
const OTHERS: &str = "other";

/// Counts by word. A word takes the first free place for itself; whoever counts waits for nobody.
#[derive(Debug, Default)]
pub(super) struct Words(OnceLock<Box<[Place]>>);

#[derive(Debug, Default)]
struct Place {
    word: OnceLock<&'static str>,
    count: AtomicU64,
}

impl Words {
    pub(super) fn count(&self, word: &'static str) {
        let places =
            self.0.get_or_init(|| std::iter::repeat_with(Place::default).take(PLACES).collect());
        let (last, places) = places.split_last().expect("there is more than one place");
        let place = places.iter().find(|place| *place.word.get_or_init(|| word) == word);
        place.unwrap_or(last).count.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let places = self.0.get().into_iter().flatten();
        let places = places.map(|place| {
            (place.word.get().copied().unwrap_or(OTHERS), place.count.load(Ordering::Relaxed))
        });
        places.filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_counted_by_itself_from_all_threads() {
        let words = Words::default();
        std::thread::scope(|scope| {
            for turn in 0..4 {
                let words = &words;
                scope.spawn(move || {
                    for n in 0..1000 {
                        words.count(["a", "b", "c"][(n + turn) % 3]);
                    }
                });
            }
        });
        let mut read: Vec<_> = words.read().collect();
        read.sort_unstable();
        assert_eq!(read.iter().map(|(_, count)| count).sum::<u64>(), 4000);
        assert_eq!(read.iter().map(|(word, _)| *word).collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn words_without_a_place_are_counted_together() {
        let words = Words::default();
        for n in 0..70 {
            words.count(Box::leak(n.to_string().into_boxed_str()));
        }
        let read: Vec<_> = words.read().collect();
        assert_eq!((read.len(), read[63]), (PLACES, (OTHERS, 7)));
    }
}
